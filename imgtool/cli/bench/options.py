"""What was asked of ``imgtool bench``, resolved: flag, then ``[bench]`` of the configuration files, then default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from imgtool.bench.arms.commands import parse_parameter
from imgtool.bench.data.record import PageCache
from imgtool.bench.gate.budgets import Budgets, parse_budgets
from imgtool.errors import UnknownKey, UsageProblem
from imgtool.quantities import parse_duration

MOST_RUNS = 10_000
_STATES = {
    "warm": (PageCache.WARM,),
    "cold": (PageCache.COLD,),
    "both": (PageCache.WARM, PageCache.COLD),
}


class BenchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """All options of ``imgtool bench startup``. ``timeout`` is seconds; ``baseline`` a file or the name of an arm;
    ``ignore_failure`` exit codes that are no failure, ``None`` for all of them."""

    paths: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    arm: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    shell: bool = False
    parameter: tuple[tuple[str, tuple[str, ...]], ...] = ()
    setup: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    cleanup: tuple[str, ...] = ()
    ignore_failure: tuple[int, ...] | None = ()
    reference: str | None = None
    tasks: str = "caption,text"
    languages: str | None = None
    weights: str | None = None
    scale: str | None = None
    runs: int = 10
    warm_ups: int = 1
    steady: int = 2
    page_cache: tuple[PageCache, ...] = (PageCache.WARM,)
    timeout: float = 600.0
    self_test: bool = False
    save: Path | None = None
    baseline: str | None = None
    budgets: Budgets = Budgets()
    across_machines: bool = False
    confirm: bool = True
    json: Path | None = None
    markdown: Path | None = None
    html: Path | None = None
    junit: Path | None = None
    history: Path | None = None


_BUDGETS = tuple(field.name for field in msgspec.structs.fields(Budgets))
IN_FILES = (
    *(
        "runs",
        "warm_ups",
        "steady",
        "page_cache",
        "timeout",
        "ignore_failure",
        "tasks",
        "languages",
        "weights",
        "scale",
        "history",
    ),
    *_BUDGETS,
)
"""What ``[bench]`` of ``imgtool.toml`` or ``[tool.imgtool.bench]`` of ``pyproject.toml`` may set."""


def resolve(flags: Mapping[str, Any]) -> BenchOptions:
    """The options of a command, of which ``flags`` were typed.

    Raises:
        UsageProblem: a value makes no sense.
        UnknownKey: a configuration file sets something that is not an option.
    """
    from imgtool.config_files import tables

    merged: dict[str, Any] = {}
    for where, table in reversed(tables("bench")):
        for name, value in table.items():
            if name not in IN_FILES:
                near = get_close_matches(name, IN_FILES, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(IN_FILES)}"
                raise UnknownKey(f"{where} sets {name!r} for bench, which is not an option of it", hint)
            merged[name] = _converted(name, value, f"{name} ({where})")
    for name, value in flags.items():
        if value is not None and value not in ([], ()):
            merged[name] = _converted(name, value, "--" + name.replace("_", "-"))
    budgets = parse_budgets({name: merged.pop(name) for name in _BUDGETS if name in merged})
    return BenchOptions(**merged, budgets=budgets)


def _converted(name: str, value: Any, label: str) -> Any:
    convert = _CONVERSIONS.get(name)
    try:
        return value if convert is None else convert(value)
    except ValueError as error:
        raise UsageProblem(f"{label}: {error}", "see `imgtool bench startup --help`") from error


def _whole(least: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        number = int(str(value))
        if not least <= number <= MOST_RUNS:
            raise ValueError(f"must be between {least} and {MOST_RUNS}, not {number}")
        return number

    return convert


def _duration(value: Any) -> float:
    seconds = parse_duration(str(value))
    if not seconds > 0:
        raise ValueError(f"must be more than 0, not {value}")
    return seconds


def _states(value: Any) -> tuple[PageCache, ...]:
    if value not in _STATES:
        raise ValueError(f"{value!r} is none of {', '.join(_STATES)}")
    return _STATES[value]


def _names(value: Any) -> tuple[str, ...]:
    parts = value if isinstance(value, (list, tuple)) else str(value).split(",")
    names = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not names:
        raise ValueError("names nothing")
    return names


def _parameters(value: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = tuple(parse_parameter(str(each)) for each in value)
    names = [name for name, _ in found]
    if len(set(names)) < len(names):
        raise ValueError(f"{max(names, key=names.count)} is given twice")
    return found


def parse_exit_codes(value: Any) -> tuple[int, ...] | None:
    """Exit codes of ``3,4``, or of a list of a file; ``None`` for ``all``.

    Raises:
        ValueError: it is neither.
    """
    if value == "all":
        return None
    given = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    parts = [part.strip() for part in given.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= 255 for part in parts):
        raise ValueError(f"{value!r} is neither a list of exit codes from 1 to 255 nor all")
    return tuple(dict.fromkeys(map(int, parts)))


def _path(value: Any) -> Path:
    return Path(str(value)).expanduser()


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "runs": _whole(least=2),  # the fewest that have a spread
    **dict.fromkeys(("warm_ups", "steady"), _whole(least=0)),
    "page_cache": _states,
    "timeout": _duration,
    "ignore_failure": parse_exit_codes,
    "parameter": _parameters,
    **dict.fromkeys(("paths", "arm", "command", "setup", "prepare", "cleanup"), tuple),
    "arms": _names,
    **dict.fromkeys(("save", "json", "markdown", "html", "junit", "history"), _path),
}
