"""Sizes, durations and settings as people write them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from imgtool.errors import UsageProblem

T = TypeVar("T")

_SIZE = re.compile(r"^\s*([0-9]*\.?[0-9]+)\s*([kmgt]?)(i?)b?\s*$", re.IGNORECASE)
_DURATION = re.compile(r"^\s*([0-9]*\.?[0-9]+)\s*(ms|s|m|h|d)?\s*$")
_LARGEST = 2**63 - 1  # what SQLite can store
_LONGEST = 100 * 365.25 * 86400  # what every clock and lock can wait for


def parse_size(text: str) -> int:
    """Bytes (or pixels) from ``2GB``, ``512MiB``, ``300M``: decimal units, binary with an ``i``.

    Raises:
        ValueError: the text is no size.
    """
    match = _SIZE.match(text)
    if not match:
        raise ValueError(f"{text!r} is not a size like 500MB or 2GiB")
    number, unit, binary = match.groups()
    base = 1024 if binary else 1000
    size = float(number) * base ** " kmgt".index(unit.lower() or " ")
    if size > _LARGEST:
        raise ValueError(f"{text[:80]!r} is more than any disk holds")
    return int(size)


def parse_duration(text: str) -> float:
    """Seconds from ``90``, ``1.5s``, ``250ms``, ``2m``, ``1h``, ``7d``.

    Raises:
        ValueError: the text is no duration.
    """
    match = _DURATION.match(text)
    if not match:
        raise ValueError(f"{text!r} is not a duration like 30s, 5m or 7d")
    number, unit = match.groups()
    seconds = float(number) * {"ms": 0.001, None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}[unit]
    if seconds > _LONGEST:
        raise ValueError(f"{text[:80]!r} is more than a hundred years")
    return seconds


def split_settings(text: str) -> list[str]:
    """``["mean=0.5,0.5,0.5", "resize=pad"]`` from ``mean=0.5,0.5,0.5,resize=pad``: a comma ends a setting only before
    the name of another one."""
    return [part for part in re.split(r",(?=\s*[A-Za-z][\w-]*\s*=)", text) if part.strip()]


def parse_option(flag: str, text: str, parse: Callable[[str], T]) -> T:
    """What ``parse`` makes of the value of ``flag``.

    Raises:
        UsageProblem: it cannot be parsed.
    """
    try:
        return parse(text)
    except ValueError as error:
        raise UsageProblem(f"{flag}: {error}") from error
