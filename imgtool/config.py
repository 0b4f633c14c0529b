"""Resolving options: from flag, environment and files to frozen values, once, at the edge.

The order is flag > ``IMGTOOL_*`` > ``imgtool.toml`` > ``[tool.imgtool]`` in ``pyproject.toml`` > user configuration >
default. Whatever the source, a value passes through the same conversion, so ``IMGTOOL_TOP_K=five`` fails with the
same words as ``--top-k five``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from imgtool.config_files import SECTIONS, files, normalise
from imgtool.errors import ConfigProblem, UnknownKey, UsageProblem
from imgtool.options import EngineOptions, OutputOptions
from imgtool.quantities import parse_duration, parse_size
from imgtool.types import Task

ENV_PREFIX = "IMGTOOL_"
_SIZE_FIELDS = {"cache_size", "max_worker_memory", "max_pixels", "batch_pixels"}
_DURATION_FIELDS = {"timeout", "load_timeout", "cache_ttl", "idle_ttl"}


def _prepare(name: str, kind: Any, value: Any) -> Any:
    """Turn the strings that flags and the environment bring into what ``msgspec.convert`` takes."""
    if isinstance(value, str):
        if name in _SIZE_FIELDS:
            return parse_size(value)
        if name in _DURATION_FIELDS:
            return parse_duration(value)
        if "tuple" in str(kind):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        if "bool" in str(kind):
            return {"yes": True, "on": True, "no": False, "off": False}.get(value.lower(), value)
    return value


@dataclass(frozen=True)
class Source:
    """A layer of configuration: where it comes from and what it says."""

    name: str
    values: Mapping[str, Any]


OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)


@dataclass(frozen=True)
class Resolved:
    """All options of a command, and where each that is not a default came from."""

    engine: EngineOptions
    output: OutputOptions
    origins: Mapping[str, str]


@cache
def _kinds() -> dict[str, Any]:
    """The name and type of every option that a configuration may set."""
    return {
        field.name: field.type
        for options in (EngineOptions, OutputOptions)
        for field in msgspec.structs.fields(options)
    }


def resolve(
    flags: Mapping[str, Any],
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    user_file: Path | None = None,
) -> Resolved:
    """Merge every source into the options of a command.

    ``flags`` holds what was typed; ``None`` and empty lists mean that it was not. ``folder`` is where
    ``imgtool.toml`` and ``pyproject.toml`` are looked for, and upwards from there.

    Raises:
        UnknownKey: a source sets an option that does not exist.
        ConfigProblem: a file cannot be read or a value cannot be converted.
    """
    given = {name: value for name, value in flags.items() if value is not None and value not in ((), [])}
    sources = [Source("flag", given), *_outer_sources(environ, folder, user_file)]
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source in reversed(sources):
        for name, value in source.values.items():
            merged[name] = _convert_one(name, value, source)
            origins[name] = source.name
    return Resolved(_build(EngineOptions, merged), _build(OutputOptions, merged), origins)


def _build(options: type[OptionsT], merged: Mapping[str, Any]) -> OptionsT:
    names = {field.name for field in msgspec.structs.fields(options)}
    return options(**{name: value for name, value in merged.items() if name in names})


def _convert_one(name: str, value: Any, source: Source) -> Any:
    kind = _kinds().get(name)
    if kind is None:
        raise _unknown(name, source)
    try:
        converted = msgspec.convert(_prepare(name, kind, value), kind, strict=False, dec_hook=_decode_path)
    except (msgspec.ValidationError, ValueError) as error:
        flag = "--" + name.replace("_", "-")
        where = flag if source.name == "flag" else f"{name} (from {source.name})"
        raise ConfigProblem(f"{where}: {error}", f"see `imgtool analyze --help` for what {flag} takes") from error
    return _check_range(name, converted)


_AT_LEAST_ONE = {"batch_size", "batch_pixels", "top_k", "max_pixels"}
_POSITIVE = {"timeout", "load_timeout", "cache_ttl", "idle_ttl", "cache_size", "max_worker_memory"}
_UNIT = {"threshold", "max_failure_rate"}
_BETWEEN = {
    # A runtime starts every thread that it is allowed: more than any machine has cores only exhausts the system.
    "threads": (1, 1024),
    "workers": (1, 256),
    "num_beams": (1, 100),
    # Of EasyOCR, which takes anything and then fails on each image, or reads nothing.
    "ocr_min_size": (0, 100_000),
    "ocr_text_threshold": (0, 1),
    "ocr_low_text": (0, 1),
    "ocr_link_threshold": (0, 1),
    "ocr_canvas_size": (1, 100_000),
    "ocr_mag_ratio": (0.01, 100),
    "ocr_beam_width": (1, 1000),
    "ocr_contrast_threshold": (0, 1),
    "ocr_adjust_contrast": (0, 1),
}


def _check_range(name: str, value: Any) -> Any:
    flag = "--" + name.replace("_", "-")
    if value is None:
        return value
    if name == "tasks" and not value:
        raise UsageProblem("--tasks names no task", f"{', '.join(task.value for task in Task)}")
    if name in _AT_LEAST_ONE and value < 1:
        raise UsageProblem(f"{flag} must be at least 1, not {value}")
    if name in _POSITIVE and not value > 0:
        raise UsageProblem(f"{flag} must be more than 0, not {value}")
    if name in _BETWEEN and not _BETWEEN[name][0] <= value <= _BETWEEN[name][1]:
        raise UsageProblem(f"{flag} must lie between {_BETWEEN[name][0]} and {_BETWEEN[name][1]}, not {value}")
    if name == "tesseract_psm" and (value not in range(1, 14) or value == 2):
        raise UsageProblem(f"{flag} {value} reads no text", "1 or 3 to 13")
    if name in _UNIT and not 0 <= value <= 1:
        raise UsageProblem(f"{flag} must lie between 0 and 1, not {value}", "5 % is written 0.05")
    return value


def _decode_path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, (str, os.PathLike)):
        return Path(value)
    raise ValueError(f"{value!r} is no path")


def convert_options(base: EngineOptions, overrides: Mapping[str, Any]) -> EngineOptions:
    """``base`` with keyword arguments taken over, converted and checked as every other source is.

    Raises:
        UnknownKey: an argument is no option of the engine.
        ConfigProblem: a value cannot be converted.
    """
    source = Source("argument", overrides)
    known = {field.name for field in msgspec.structs.fields(EngineOptions)}
    for name in overrides:
        if name not in known:
            raise _unknown(name, source)
    converted = {name: _convert_one(name, value, source) for name, value in overrides.items()}
    return msgspec.structs.replace(base, **converted)


def _unknown(name: str, source: Source) -> UnknownKey:
    near = get_close_matches(name, _kinds(), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(_kinds()))}"
    return UnknownKey(f"{source.name} sets {name!r}, which is no option of imgtool", hint)


def _outer_sources(environ: Mapping[str, str] | None, folder: Path | None, user_file: Path | None) -> Iterator[Source]:
    yield Source("environment", _from_environment(os.environ if environ is None else environ))
    for where, table in files(folder, user_file):
        yield Source(where, normalise({name: value for name, value in table.items() if name not in SECTIONS}))


# Read by other parts of imgtool or by its tests, not options of a command.
_OTHER_VARIABLES = {"IMGTOOL_EASYOCR_ENDPOINT", "IMGTOOL_TRACE", "IMGTOOL_TRACE_SPAWNED"}


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        key.removeprefix(ENV_PREFIX).lower(): value
        for key, value in environ.items()
        if key.startswith(ENV_PREFIX) and key not in _OTHER_VARIABLES and value != ""
    }
