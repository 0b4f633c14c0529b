"""Resolving options: from flag, environment and files to frozen values, once, at the edge.

The order is flag > ``IMGTOOL_*`` > ``imgtool.toml`` > ``[tool.imgtool]`` in ``pyproject.toml`` > user configuration >
default. Whatever the source, a value passes through the same conversion, so ``IMGTOOL_TOP_K=five`` fails with the
same words as ``--top-k five``. The parameters of an engine (``ocr``, ``classifier``) are resolved one by one: a flag
may set one of them and a file another.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from imgtool.config_files import SECTIONS, files, normalise
from imgtool.errors import ConfigProblem, UnknownKey, UsageProblem, nearest
from imgtool.options import EngineOptions, OutputOptions, ServiceOptions
from imgtool.quantities import parse_duration, parse_size, split_settings
from imgtool.types import Task

ENV_PREFIX = "IMGTOOL_"
_OTHER_VARIABLES = {
    *("IMGTOOL_EASYOCR_ENDPOINT", "IMGTOOL_LOG_FORMAT", "IMGTOOL_SANDBOX_WRITABLE"),
    *("IMGTOOL_TRACE", "IMGTOOL_TRACE_SPAWNED"),
}
"""Read by other parts of imgtool or by its tests; not options of a command."""

_TABLES = ("ocr", "classifier", "codes")
"""Options that hold the parameters of engines; ``imgtool.parameters`` knows which, and is imported when one is set."""

_PATHS_OR_NAMES = {"stats", "database", "caption_model"}
"""Texts that may be paths."""

_SIZES = {"cache_size", "max_worker_memory", "max_pixels", "batch_pixels", "max_body"}
_DURATIONS = {
    "timeout",
    "load_timeout",
    "cache_ttl",
    "idle_ttl",
    "shared_ttl",
    "deadline",
    "grace",
    "job_ttl",
    "node_timeout",
}
_AT_LEAST = {
    **dict.fromkeys(("batch_size", "batch_pixels", "top_k", "max_pixels", "max_pages", "max_new_tokens"), 1),
    **dict.fromkeys(("max_body", "queue"), 1),
    "min_new_tokens": 0,
}
_MORE_THAN_0 = {*_DURATIONS, "cache_size", "max_worker_memory"}
_TOO_MUCH = 9 * 10**18
"""What is no 64-bit number cannot be sent to a worker."""
_BETWEEN = {
    "pdf_dpi": (1, 9600),
    # A runtime starts every thread that it is allowed: more than any machine has cores only exhausts the system.
    "threads": (1, 1024),
    "workers": (1, 256),
    "port": (0, 65535),
    "num_beams": (1, 100),
    "threshold": (0, 1),
    "max_failure_rate": (0, 1),
    "shared_ttl": (1, 365 * 86400),
    "node_timeout": (3, 86400),
}


@dataclass(frozen=True)
class Source:
    """A layer of configuration: where it comes from and what it says."""

    name: str
    values: Mapping[str, Any]
    folder: Path | None = None
    """The folder of a configuration file: its relative paths are relative to that."""

    def placed(self, option: str, value: Any) -> Any:
        """``value`` of ``option``, as a path from where the command runs if it is a relative one of a file."""
        if isinstance(value, tuple):
            return tuple(self.placed(option, each) for each in value)
        text = str(value)
        scheme, relative = "sqlite:///", text.removeprefix("sqlite:///")
        if self.folder is not None and option == "database" and text.startswith(scheme) and relative[:1] not in "/~":
            return f"{scheme}{self.folder / relative}"
        is_path = isinstance(value, Path) or option in _PATHS_OR_NAMES
        if self.folder is None or not is_path or text in ("-", "off") or text.startswith("~") or "://" in text:
            return value
        if option == "caption_model" and not text.startswith(".") and not (self.folder / text).is_dir():
            return value
        return self.folder / text if isinstance(value, Path) else str(self.folder / text)

    def naming(self, option: str) -> str:
        """How messages name ``option`` as this source sets it."""
        return "--" + option.replace("_", "-") if self.name == "flag" else f"{option} (from {self.name})"


OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)


@dataclass(frozen=True)
class Resolved:
    """All options of a command, and where each that is not a default came from."""

    engine: EngineOptions
    output: OutputOptions
    service: ServiceOptions
    origins: Mapping[str, str]


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
        UnknownKey: a source sets an option or a parameter that does not exist.
        ConfigProblem: a file cannot be read or a value cannot be converted.
        UsageProblem: a value is out of range.
    """
    given = {name: value for name, value in flags.items() if value is not None and value not in ((), [])}
    sources = [Source("flag", given), *_outer_sources(environ, folder, user_file)]
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source in reversed(sources):
        for name, value in source.values.items():
            converted = _convert(name, value, source)
            if name in _TABLES:
                merged[name] = {**merged.get(name, {}), **converted}
                origins |= {f"{name}.{parameter}": source.name for parameter in converted}
            else:
                merged[name] = converted
                origins[name] = source.name
    kinds = _build(EngineOptions, merged), _build(OutputOptions, merged), _build(ServiceOptions, merged)
    return Resolved(*kinds, origins)


def _build(options: type[OptionsT], merged: Mapping[str, Any]) -> OptionsT:
    names = {field.name for field in msgspec.structs.fields(options)}
    return options(**{name: value for name, value in merged.items() if name in names})


def convert_options(base: EngineOptions, overrides: Mapping[str, Any]) -> EngineOptions:
    """``base`` with keyword arguments taken over, converted and checked as every other source is.

    Raises:
        UnknownKey: an argument is no option of the engine, or sets a parameter that does not exist.
        ConfigProblem: a value cannot be converted.
        UsageProblem: a value is out of range.
    """
    source = Source("argument", overrides)
    known = {field.name for field in msgspec.structs.fields(EngineOptions)}
    for name in overrides:
        if name not in known:
            raise _unknown(name, source)
    converted = {name: _convert(name, value, source) for name, value in overrides.items()}
    converted |= {name: {**getattr(base, name), **converted[name]} for name in _TABLES if name in converted}
    return msgspec.structs.replace(base, **converted)


@cache
def _kinds() -> dict[str, Any]:
    """The name and type of every option that a configuration may set."""
    return {
        field.name: field.type
        for options in (EngineOptions, OutputOptions, ServiceOptions)
        for field in msgspec.structs.fields(options)
    }


def _unknown(name: str, source: Source) -> UnknownKey:
    from imgtool.parameters import formerly

    given, known = name, list(_kinds())
    if source.name == "environment":
        given, known = _variable(name), [_variable(each) for each in known]
    remedy = nearest(given, known)
    if (now := formerly(name)) is not None:
        option, parameter = now
        setting = f"{option}.{parameter} = ..." if source.folder else f'{_variable(option)}="{parameter}=..."'
        remedy = f"write {setting}"
    return UnknownKey(f"{source.name} sets {given!r}, which is no option of imgtool", remedy)


def _variable(option: str) -> str:
    return f"{ENV_PREFIX}{option.upper()}"


def _convert(name: str, value: Any, source: Source) -> Any:
    kind = _kinds().get(name)
    if kind is None:
        raise _unknown(name, source)
    if name in _TABLES:
        return _convert_parameters(name, value, source)
    try:
        if isinstance(value, str) and name in _SIZES:
            value = parse_size(value)
        elif isinstance(value, str) and name in _DURATIONS:
            value = parse_duration(value)
        converted = _of_kind(kind, [value] if name == "output" and isinstance(value, str) else value)
    except ValueError as error:
        if name == "tasks" and isinstance(value, str):
            raise _unknown_task(value, source.naming(name)) from error
        flag = "--" + name.replace("_", "-")
        raise ConfigProblem(
            f"{source.naming(name)}: {error}", f"`imgtool analyze --help-all` says what {flag} takes"
        ) from error
    if converted is not None:
        _check_range(name, converted, source.naming(name))
    return source.placed(name, converted)


_TASK_MEANT = {
    **dict.fromkeys(("ocr", "read", "words", "lines"), "text"),
    **dict.fromkeys(("captions", "describe", "description", "alt"), "caption"),
    **dict.fromkeys(("label", "tags", "tag", "classes", "classify", "keywords"), "labels"),
    **dict.fromkeys(("code", "barcode", "barcodes", "qr", "hs", "tariff"), "codes"),
}
"""The task that somebody had in mind who called it so."""


def _unknown_task(given: str, label: str) -> ConfigProblem:
    parts = [part.strip() for part in given.split(",") if part.strip()]
    wrong = next((part for part in parts if part not in set(Task)), given)
    meant = [_TASK_MEANT.get(part.lower(), part) for part in parts]
    example = ",".join(dict.fromkeys(part for part in meant if part in set(Task))) or "caption,text"
    instead = f"{label} {example}" if label.startswith("--") else f"write {example}"
    return ConfigProblem(
        f"{label}: there is no task {wrong!r}",
        f"{instead}: caption says what is seen, text is read by OCR, labels come from a classifier, "
        "codes are barcodes, QR codes and customs tariff numbers",
    )


def _convert_parameters(option: str, value: Any, source: Source) -> dict[str, Any]:
    """The parameters that ``--ocr`` or ``--classifier`` sets: as a table, or as texts ``NAME=VALUE``."""
    from imgtool.parameters import TABLES

    known, label = TABLES[option], source.naming(option)
    engines = " and ".join(
        f"`imgtool models {name}`" for name in dict.fromkeys(each for p in known.values() for each in p.engines)
    )
    if isinstance(value, str):
        value = split_settings(value)
    if isinstance(value, (list, tuple)):
        for text in value:
            if "=" not in str(text):
                raise UsageProblem(f"{label} takes NAME=VALUE, not {text!r}", f"{engines} say what can be set")
        value = {name.strip(): text for name, _, text in (str(text).partition("=") for text in value)}
    if not isinstance(value, Mapping):
        raise ConfigProblem(f"{label}: {value!r} is not a table", f"{engines} say what can be set")
    converted = {}
    for name, given in normalise(value).items():
        if name not in known:
            raise UnknownKey(f"{label}: there is no parameter {name!r}", f"{nearest(name, known)} (see {engines})")
        try:
            if given is not None:
                converted[name] = known[name].check(_of_kind(known[name].kind, given))
        except (ValueError, TypeError) as error:
            remedy = f"see `imgtool models {known[name].engines[0]}`"
            raise ConfigProblem(f"{label}: {name}: {error}", remedy) from error
    return converted


def _of_kind(kind: Any, given: Any) -> Any:
    """``given`` as ``kind``, from the strings that flags and the environment bring or the values that files hold.

    Raises:
        ValueError: that cannot be.
    """
    value = given
    if isinstance(value, str):
        leaves = _leaves(kind)
        if tuple in leaves:
            value = tuple(part.strip() for part in value.split(",") if part.strip())
        elif bool in leaves:
            value = {"yes": True, "on": True, "no": False, "off": False}.get(value.lower(), value)
    try:
        return msgspec.convert(value, kind, strict=False, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise ValueError(f"{given!r} is not {_in_words(kind)}") from error


def _leaves(kind: Any) -> list[Any]:
    """The types that ``kind`` is put together from."""
    return [get_origin(kind) or kind, *(leaf for part in get_args(kind) for leaf in _leaves(part))]


def _in_words(kind: Any) -> str:
    """What a value of ``kind`` is: ``a whole number``, ``one of first, all``, ``a list of caption, text, labels``."""
    leaves = _leaves(kind)
    several = tuple in leaves
    for leaf in leaves:
        if isinstance(leaf, type) and issubclass(leaf, Enum):
            return f"{'a list of' if several else 'one of'} {', '.join(member.value for member in leaf)}"
    words = {bool: "yes or no", int: "a whole number", float: "a number", Path: "a path", str: "text"}
    word = next(words[leaf] for leaf in leaves if leaf in words)
    return f"{word}, or a list of them" if several else word


def _decode_path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, (str, os.PathLike)):
        return Path(value)
    raise ValueError(f"{value!r} is no path")


def _check_range(name: str, value: Any, label: str) -> None:
    if name == "tasks" and not value:
        raise UsageProblem(f"{label} names no task", f"{', '.join(task.value for task in Task)}")
    if name in _AT_LEAST and value < _AT_LEAST[name]:
        raise UsageProblem(
            f"{label} must be at least {_AT_LEAST[name]}, not {value}", f"give {_AT_LEAST[name]} or more"
        )
    if isinstance(value, int) and value >= _TOO_MUCH:
        raise UsageProblem(f"{label}: {value} is too large", "give a number below 9,000,000,000,000,000,000")
    if name in _MORE_THAN_0 and not value > 0:
        raise UsageProblem(f"{label} must be more than 0, not {value}", "give a number above 0")
    least, most = _BETWEEN.get(name, (-math.inf, math.inf))
    if name in _BETWEEN and not least <= value <= most:
        remedy = "5 % is written 0.05" if most == 1 else "give a number in between"
        raise UsageProblem(f"{label} must lie between {least} and {most}, not {value}", remedy)


def _outer_sources(environ: Mapping[str, str] | None, folder: Path | None, user_file: Path | None) -> Iterator[Source]:
    variables = {
        key.removeprefix(ENV_PREFIX).lower(): value
        for key, value in (os.environ if environ is None else environ).items()
        if key.startswith(ENV_PREFIX) and key not in _OTHER_VARIABLES and value != ""
    }
    yield Source("environment", variables)
    for where, table, place in files(folder, user_file):
        yield Source(where, normalise({name: value for name, value in table.items() if name not in SECTIONS}), place)
