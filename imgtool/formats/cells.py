"""Text fitted into terminal cells, in which East Asian wide characters take two.

All functions expect text that :mod:`imgtool.formats.clean` made printable.
"""

from __future__ import annotations

from rich.cells import cell_len, get_character_cell_size

ELLIPSIS = "…"


def fit(text: str, cells: int) -> int:
    """How many characters from the start of ``text`` go into ``cells``."""
    if text.isascii():
        return min(len(text), max(cells, 0))
    used = 0
    for index, character in enumerate(text):
        used += get_character_cell_size(character)
        if used > cells:
            return index
    return len(text)


def wrap(text: str, cells: int, lines: int) -> list[str]:
    """``text`` in at most ``lines`` lines of at most ``cells``, broken at spaces; an ellipsis where it is cut off.

    A word that would leave more than half of a line empty is broken: scripts without spaces are one long word.
    """
    wrapped: list[str] = []
    while (end := fit(text, cells)) < len(text):
        if len(wrapped) == lines - 1:
            return [*wrapped, text[: fit(text, cells - 1)].rstrip() + ELLIPSIS]
        space = text.rfind(" ", end // 2, end + 1)
        cut = space if space > 0 else max(end, 1)
        wrapped.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return [*wrapped, text]


def shorten_path(path: str, cells: int) -> str:
    """``path`` in at most ``cells`` (2 or more), cut in its folders first, so that the file's name stays."""
    if cell_len(path) <= cells:
        return path
    folder, slash, name = path.rpartition("/")
    room = cells - cell_len(name) - 2
    if slash and room >= 0:
        return f"{folder[: fit(folder, room)]}{ELLIPSIS}/{name}"
    return shorten_middle(name, cells)


def shorten_middle(text: str, cells: int) -> str:
    """``text`` in at most ``cells`` (1 or more), cut in the middle so that its beginning and its end stay."""
    if cell_len(text) <= cells:
        return text
    tail = text[len(text) - fit(text[::-1], (cells - 1) // 2) :]
    return text[: fit(text, cells - 1 - cell_len(tail))] + ELLIPSIS + tail
