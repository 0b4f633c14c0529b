"""Strings made safe to write: recognised text and file names can hold anything a picture or a file system can."""

from __future__ import annotations

import re
from typing import Any

REPLACEMENT = "\ufffd"

_SURROGATES = re.compile("[\ud800-\udfff]")
# Zero-width joiners and variation selectors: terminals disagree about the width of what they join.
_JOINERS = re.compile("[\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def well_formed(text: str) -> str:
    """``text`` with every lone surrogate, which UTF-8 cannot say, replaced by U+FFFD."""
    return text if text.isascii() else _SURROGATES.sub(REPLACEMENT, text)


def well_formed_tree(value: Any) -> Any:
    """:func:`well_formed` applied to every string in nested dicts, lists and tuples of built-in types."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return {key: well_formed_tree(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [well_formed_tree(item) for item in value]
    return value


def printable(text: str) -> str:
    """``text`` as one line without a character that a terminal would obey instead of show.

    Control characters become their pictures (U+241B for ESC), bidirectional overrides and other characters without a
    glyph become U+FFFD, joiners and variation selectors are dropped, and every kind of space is a plain one.
    """
    if text.isprintable() and (text.isascii() or not _JOINERS.search(text)):
        return text
    return "".join(map(_visible, _JOINERS.sub("", text)))


def printable_prose(text: str) -> str:
    """:func:`printable` for running text: every run of white space, line breaks too, becomes one space."""
    return printable(" ".join(text.split()))


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return " " if character in "\xa0\u1680\u202f\u205f\u3000" or "\u2000" <= character <= "\u200a" else REPLACEMENT
