"""The options of ``imgtool analyze`` as words, turned into what the engine takes, where no command line is started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from imgtool.config import EngineOptions, resolve
from imgtool.errors import UsageProblem

_SHORT = {"-t": "--tasks", "-l": "--languages", "-j": "--workers"}


def engine_flags(words: Sequence[str]) -> dict[str, str | bool]:
    """Values by option from ``--text-engine rapidocr --no-cache``; their meaning is :mod:`imgtool.config`'s matter.

    Raises:
        UsageProblem: a word is no option of the engine, or a value is missing.
    """
    found: dict[str, str | bool] = {}
    rest = iter(words)
    for word in rest:
        name, value = _read(_SHORT.get(word, word), rest)
        found[name] = value
    return found


def engine_options(words: Sequence[str]) -> EngineOptions:
    """The engine's options from ``words``, with environment and configuration files taken in as ``analyze`` does.

    Raises:
        UsageProblem: a word is no option of the engine, or a value cannot be read.
    """
    return resolve(engine_flags(words)).engine


def _read(word: str, rest: Iterator[str]) -> tuple[str, str | bool]:
    flag, equals, value = word.partition("=")
    name = flag.removeprefix("--").replace("-", "_")
    kinds = {field.name: field.type for field in msgspec.structs.fields(EngineOptions)}
    if not flag.startswith("--") or name.removeprefix("no_") not in kinds:
        raise UsageProblem(f"{word!r} is no option of the engine", "see `imgtool analyze --help`")
    if kinds.get(name.removeprefix("no_")) is bool:
        return name.removeprefix("no_"), not name.startswith("no_")
    if name not in kinds:
        raise UsageProblem(f"{word!r} is no option of the engine", f"leave out --{name.replace('_', '-')} instead")
    if not equals:
        value = next(rest, "")
    if not value:
        raise UsageProblem(f"{flag} takes a value", "see `imgtool analyze --help`")
    return name, value
