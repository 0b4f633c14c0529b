r"""Words as a shell would read them: what was quoted, or comes from a list or a program, no shell has expanded.

Braces (``{a,b}.jpg``, ``{1..9}.png``), ``~`` and backslashes, and the ``\xNN`` of names in results.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from urllib.parse import unquote_to_bytes

# Paths are strings here: they are many, and some names are no UTF-8.
# ruff: noqa: PTH111

_MOST = 10_000
"""What would become more words stays as it is."""
_DEEPEST = 20

_RANGE = re.compile(r"(-?\d{1,9})\.\.(-?\d{1,9})|([A-Za-z])\.\.([A-Za-z])")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def expanded(word: str) -> list[str]:
    """The words that a shell would make of ``word``, without looking for files; ``word`` alone where it has nothing to
    expand."""
    if "{" in word and word.count("{") <= _DEEPEST:
        words = list(islice(_braces(word), _MOST + 1))
        if 1 < len(words) <= _MOST:
            return words
    if word.startswith("~"):
        return [os.path.expanduser(word)]
    return [word]


def _braces(word: str) -> Iterator[str]:
    """Lists and ranges in braces, also nested; braces with neither stay."""
    for start in (place for place, letter in enumerate(word) if letter == "{" and not _escaped(word, place)):
        depth, begin, parts = 0, start + 1, []
        for place in range(start, len(word)):
            letter = "" if _escaped(word, place) else word[place]
            depth += (letter == "{") - (letter == "}")
            if not depth or (depth == 1 and letter == ","):
                parts.append(word[begin:place])
                begin = place + 1
            if not depth:
                break
        else:
            continue
        if alternatives := parts if len(parts) > 1 else _range(parts[0]):
            for part in alternatives:
                for middle in _braces(part):
                    for rest in _braces(word[begin:]):
                        yield word[:start] + middle + rest
            return
    yield word


def _escaped(word: str, place: int) -> bool:
    return (place - len(word[:place].rstrip("\\"))) % 2 == 1


def _range(text: str) -> list[str]:
    found = _RANGE.fullmatch(text)
    if found is None:
        return []
    numbers = found[1] is not None
    first, last = (int(found[1]), int(found[2])) if numbers else (ord(found[3]), ord(found[4]))
    step = 1 if last >= first else -1
    if abs(last - first) >= _MOST:
        return []
    padded = numbers and any(len(side.lstrip("-")) > 1 and side.lstrip("-")[0] == "0" for side in found.groups()[:2])
    width = max(len(found[1]), len(found[2])) if padded else 0
    return [str(each).zfill(width) if numbers else chr(each) for each in range(first, last + step, step)]


def unescaped(word: str) -> str:
    """``word`` without the backslashes that a shell would take away."""
    return re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL)


def as_glob(word: str) -> str:
    """``word`` with ``[*]`` for a star behind a backslash, and so on: globs have no other way to write it."""
    return re.sub(r"\\(.)", lambda found: f"[{found[1]}]" if found[1] in "*?[" else found[1], word, flags=re.DOTALL)


def real_path(path: str) -> str:
    r"""``path`` as the file system knows it: in results, bytes of a name that are no UTF-8 are written ``\xNN``."""
    if "\\x" not in path or os.path.lexists(path):
        return path
    try:
        raw = re.sub(rb"\\x([89a-f][0-9a-f])", lambda found: bytes([int(found[1], 16)]), os.fsencode(path))
    except UnicodeEncodeError:
        return path
    return other if os.path.lexists(other := os.fsdecode(raw)) else path


def is_address(word: str) -> bool:
    """Whether ``word`` begins like a web address or another URL."""
    return _ADDRESS.match(word) is not None


def path_of_address(word: str) -> str | None:
    """The path that a ``file://`` address of this machine names."""
    scheme, _, rest = word.partition("://")
    host, slash, path = rest.partition("/")
    if scheme.lower() != "file" or not slash or host.lower() not in ("", "localhost"):
        return None
    return os.fsdecode(unquote_to_bytes("/" + path))


def address_of(path: str) -> str:
    """The ``file://`` address of ``path``, for names that JSON cannot hold."""
    from urllib.parse import quote

    return "file://" + quote(os.fsencode(os.path.abspath(path)))  # noqa: PTH100 - links stay
