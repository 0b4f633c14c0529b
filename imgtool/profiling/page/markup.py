"""Small pieces of HTML, everything in them escaped."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files

from imgtool.profiling.page.svg import COLOURS

_JOINT = re.compile(r"([./](?=[A-Za-z_]))")
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """A table; columns whose place is in ``numbers`` are figures. ``name | place`` in a cell puts the place below."""
    right = set(numbers)

    def cell(tag: str, index: int, words: str) -> str:
        mark = ' class="number"' if index in right else ""
        main, _, below = words.partition(" | ")
        small = f"<small>{_breakable(below)}</small>" if below else ""
        return f"<{tag}{mark}>{_breakable(main)}{small}</{tag}>"

    def row(tag: str, words: Sequence[str]) -> str:
        return f"<tr>{''.join(cell(tag, index, each) for index, each in enumerate(words))}</tr>"

    body = "".join(row("td", words) for words in rows)
    return f"<table><thead>{row('th', heads)}</thead><tbody>{body}</tbody></table>"


def _breakable(words: str) -> str:
    """Escaped; lines may break behind the dots and slashes of names."""
    return _JOINT.sub(r"\1<wbr>", escape(words))


def cards(figures: Iterable[tuple[str, str]]) -> str:
    """Figures to be seen first: value and what it is."""
    shown = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in figures
    )
    return f'<div class="cards">{shown}</div>'


def notes(lines: Iterable[str]) -> str:
    """A list that stands out; nothing where there are no lines."""
    shown = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul class="notes">{shown}</ul>' if shown else ""


def paragraph(words: str, *, quiet: bool = False) -> str:
    """A paragraph."""
    return f"<p{' class=quiet' if quiet else ''}>{escape(words)}</p>"


def heading(words: str) -> str:
    """A heading within a section."""
    return f"<h2>{escape(words)}</h2>"


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """Colours and what they mean; a colour is any CSS class with a ``rect`` of that fill in the pictures."""
    shown = "".join(f'<li><i class="{kind}"></i>{escape(words)}</li>' for kind, words in entries)
    return f'<ul class="legend">{shown}</ul>'


def legend_style() -> str:
    """The rules for the squares of a :func:`legend`."""
    return "".join(f".legend .{kind}{{background:{colour}}}" for kind, colour in COLOURS.items())


def fill(template: str, parts: Mapping[str, str]) -> str:
    """``{{name}}`` in ``template`` replaced by ``parts``, once: what is put in is not looked at again."""
    return _PLACEHOLDER.sub(lambda match: parts.get(match[1], ""), template)


def asset(name: str) -> str:
    """A file of ``page/``."""
    return (files(__package__) / name).read_text(encoding="utf-8")


def digest_policy(style: str, script: str = "") -> str:
    """A Content-Security-Policy under which only these texts take effect and nothing can be fetched.

    Styles in attributes are not allowed either; the pictures have none.
    """
    scripts = f"; script-src '{_digest(script)}'" if script else ""
    return f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src '{_digest(style)}'{scripts}"


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode("ascii")
