"""Limits of an experiment as a person writes them: ``10%``, ``0.1``, ``2.0s``, ``1GB``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from imgtool.bench.data.record import Metric
from imgtool.errors import UsageProblem
from imgtool.quantities import parse_duration, parse_size

_SHARE = re.compile(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*(%?)\s*")
_LARGEST_SHARE = 10.0
_SMALLEST_MEMORY = 1_000_000


class Budgets(Struct, frozen=True, kw_only=True):
    """``fail_slower`` and ``fail_memory`` are shares by which an arm may exceed what it is compared with, 0.1 for 10 %;
    the others are limits of an arm's median, in seconds and bytes. ``None`` is no budget."""

    fail_slower: float | None = None
    fail_memory: float | None = None
    max_startup: float | None = None
    max_first_result: float | None = None
    max_wall: float | None = None
    max_memory: float | None = None

    @property
    def relative(self) -> bool:
        """Whether there is a budget that needs something to compare with."""
        return self.fail_slower is not None or self.fail_memory is not None

    @property
    def limits(self) -> dict[Metric, float]:
        """The absolute budgets by the figure that they limit."""
        named = {
            Metric.STARTUP: self.max_startup,
            Metric.FIRST_RESULT: self.max_first_result,
            Metric.WALL: self.max_wall,
            Metric.PEAK_RSS: self.max_memory,
        }
        return {metric: limit for metric, limit in named.items() if limit is not None}

    def without_comparisons(self) -> Budgets:
        """Only the absolute budgets."""
        return msgspec.structs.replace(self, fail_slower=None, fail_memory=None)

    def __bool__(self) -> bool:
        return self.relative or bool(self.limits)


def parse_budgets(given: Mapping[str, object]) -> Budgets:
    """Budgets from texts or numbers by field name, from flags and configuration files; ``None`` is not given.

    Raises:
        UsageProblem: a value is invalid, or there is no budget of that name.
    """
    if unknown := sorted(set(given) - set(_PARSERS)):
        raise UsageProblem(
            f"there is no budget {_option(unknown[0])}", f"there are {', '.join(map(_option, _PARSERS))}"
        )
    return msgspec.convert(
        {name: _parsed(name, value) for name, value in given.items() if value is not None}, Budgets, strict=False
    )


def parse_share(text: str) -> float:
    """0.1 from ``10%`` or ``0.1``.

    Raises:
        ValueError: it is neither, is not above 0, or is 1 or more without a percent sign.
    """
    match = _SHARE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a share like 10% or 0.1")
    share = float(match[1]) / (100 if match[2] else 1)
    if share == 0:
        raise ValueError("any noise exceeds a share of 0")
    if share >= 1 and not match[2]:
        raise ValueError(f"{text!r} is {share * 100:g} %; for {text.strip()} % write {text.strip()}%")
    if share > _LARGEST_SHARE:
        raise ValueError(f"{text!r} is too large for a budget")
    return share


def _seconds(text: str) -> float:
    seconds = parse_duration(text)
    if seconds == 0:
        raise ValueError("0 seconds is not a limit")
    return seconds


def _bytes(text: str) -> float:
    size = parse_size(text)
    if size < _SMALLEST_MEMORY:
        raise ValueError(f"{text!r} is less than any process needs")
    return float(size)


_PARSERS: dict[str, tuple[Callable[[str], float], str]] = {
    "fail_slower": (parse_share, "10%"),
    "fail_memory": (parse_share, "10%"),
    "max_startup": (_seconds, "2.0s"),
    "max_first_result": (_seconds, "5s"),
    "max_wall": (_seconds, "10s"),
    "max_memory": (_bytes, "1GB"),
}


def _parsed(name: str, value: object) -> float:
    parse, example = _PARSERS[name]
    try:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise ValueError(f"{value!r} is not a number")
        return parse(value if isinstance(value, str) else f"{value:f}")
    except ValueError as error:
        raise UsageProblem(f"{_option(name)}: {error}", f"write for example {_option(name)} {example}") from error


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
