"""Options: frozen values built once at the edge, resolved from flag, environment and files.

The order is flag > ``IMGTOOL_*`` > ``imgtool.toml`` > ``[tool.imgtool]`` in ``pyproject.toml`` > user configuration >
default. Whatever the source, a value passes through the same conversion, so ``IMGTOOL_TOP_K=five`` fails with the
same words as ``--top-k five``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from imgtool.errors import ConfigProblem, UnknownKey, UsageProblem
from imgtool.types import Task

ENV_PREFIX = "IMGTOOL_"
FILE_NAME = "imgtool.toml"


class Pages(str, Enum):
    """Which pages of an animated or multi-page file are looked at."""

    FIRST = "first"
    ALL = "all"


class LoadPolicy(str, Enum):
    """When a worker loads its models: each at its first use, all at once side by side, or all one after the other."""

    LAZY = "lazy"
    PARALLEL = "parallel"
    EAGER = "eager"


class BackendChoice(str, Enum):
    """What executes a model that can be run in two ways: compiled where it is here and valid, else torch."""

    AUTO = "auto"
    ONNX = "onnx"
    TORCH = "torch"


class Precision(str, Enum):
    """``exact`` computes in single precision; ``fast`` in whatever this CPU does best, and answers may differ."""

    EXACT = "exact"
    FAST = "fast"


class Weights(str, Enum):
    """Real models, or made-up ones of the same shapes, whose answers mean nothing and say so."""

    REAL = "real"
    SYNTHETIC = "synthetic"


class Scale(str, Enum):
    """How large synthetic weights are: as the real ones, or as small as a test can do with."""

    FULL = "full"
    SMALL = "small"


class OutputFormat(str, Enum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    HTML = "html"


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine needs to know. Also the keyword arguments of :class:`imgtool.Engine`.

    Sizes are bytes, durations seconds.
    """

    tasks: tuple[Task, ...] | None = None
    caption_engine: str | None = None
    text_engine: str | None = None
    labels_engine: str | None = None
    languages: tuple[str, ...] = ("ko", "en")
    strict: bool = False

    backend: BackendChoice = BackendChoice.AUTO
    precision: Precision = Precision.EXACT
    weights: Weights = Weights.REAL
    scale: Scale = Scale.FULL
    device: str = "auto"
    caption_model: str | None = None
    caption_revision: str | None = None
    caption_prompt: str | None = None
    num_beams: int = 1
    max_new_tokens: int = 30
    min_new_tokens: int = 0

    easyocr_dir: Path | None = None
    ocr_min_size: int | None = None
    ocr_text_threshold: float | None = None
    ocr_low_text: float | None = None
    ocr_link_threshold: float | None = None
    ocr_canvas_size: int | None = None
    ocr_mag_ratio: float | None = None
    ocr_decoder: str | None = None
    ocr_beam_width: int | None = None
    ocr_paragraph: bool | None = None
    ocr_contrast_threshold: float | None = None
    ocr_adjust_contrast: float | None = None
    ocr_rotations: tuple[int, ...] | None = None
    ocr_allowlist: str | None = None
    ocr_blocklist: str | None = None
    tesseract_psm: int = 4

    labels_model: Path | None = None
    labels_file: Path | None = None
    labels_config: Path | None = None
    labels_size: str | None = None
    labels_mean: tuple[float, ...] | None = None
    labels_std: tuple[float, ...] | None = None
    labels_layout: str | None = None
    labels_resize: str | None = None
    top_k: int = 5
    threshold: float = 0.0

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    pages: Pages = Pages.FIRST
    max_pixels: int = 300_000_000

    batch_size: int = 8
    batch_pixels: int = 48_000_000
    workers: int = 1
    threads: int | None = None
    isolate: bool = True
    load: LoadPolicy = LoadPolicy.LAZY
    timeout: float = 120.0
    load_timeout: float = 300.0
    idle_ttl: float | None = None
    max_worker_memory: int = 4_000_000_000

    cache: bool = True
    cache_dir: Path | None = None
    cache_size: int = 2_000_000_000
    cache_ttl: float | None = None
    rehash: bool = False
    retry_failed: bool = False

    fail_fast: bool = False
    max_failure_rate: float | None = None


class OutputOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line does with the results."""

    format: OutputFormat | None = None
    output: Path | None = None
    stats: str | None = None
    quiet: bool = False
    verbose: bool = False


def cache_root(options: EngineOptions) -> Path:
    """The directory of the result store and the stat index: the one that is set, or the platform's."""
    from platformdirs import user_cache_path

    try:
        if options.cache_dir is not None:
            return options.cache_dir.expanduser()
        return user_cache_path("imgtool", appauthor=False)
    except RuntimeError as error:  # how Python says that a user has no home
        raise ConfigProblem(f"there is no place for the cache: {error}", "name a folder with --cache-dir") from error


_SIZE = re.compile(r"^\s*([0-9]*\.?[0-9]+)\s*([kmgt]?)(i?)b?\s*$", re.IGNORECASE)
_DURATION = re.compile(r"^\s*([0-9]*\.?[0-9]+)\s*(ms|s|m|h|d)?\s*$")
_LARGEST = 2**63 - 1  # what SQLite can store
_SIZE_FIELDS = {"cache_size", "max_worker_memory", "max_pixels", "batch_pixels"}
_DURATION_FIELDS = {"timeout", "load_timeout", "cache_ttl", "idle_ttl"}


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
    size = int(float(number) * base ** " kmgt".index(unit.lower() or " "))
    if size > _LARGEST:
        raise ValueError(f"{text!r} is more than any disk holds")
    return size


def parse_duration(text: str) -> float:
    """Seconds from ``90``, ``1.5s``, ``250ms``, ``2m``, ``1h``, ``7d``.

    Raises:
        ValueError: the text is no duration.
    """
    match = _DURATION.match(text)
    if not match:
        raise ValueError(f"{text!r} is not a duration like 30s, 5m or 7d")
    number, unit = match.groups()
    return float(number) * {"ms": 0.001, None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}[unit]


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


_AT_LEAST_ONE = {"batch_size", "batch_pixels", "workers", "top_k", "max_pixels", "threads"}
_POSITIVE = {"timeout", "load_timeout", "cache_ttl", "idle_ttl", "cache_size", "max_worker_memory"}
_UNIT = {"threshold", "max_failure_rate"}


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


SECTIONS = ("bench",)
"""Tables of a configuration file that belong to a command of their own."""


def tables(section: str, folder: Path | None = None, user_file: Path | None = None) -> list[tuple[str, dict[str, Any]]]:
    """What the configuration files say under ``section``, the strongest first, each with the name of its file.

    Raises:
        ConfigProblem: a file cannot be read, or ``section`` is no table in it.
    """
    files = _files(folder, user_file)
    return [(where, _normalise(_table(table, section, where))) for where, table in files if section in table]


def _outer_sources(environ: Mapping[str, str] | None, folder: Path | None, user_file: Path | None) -> Iterator[Source]:
    yield Source("environment", _from_environment(os.environ if environ is None else environ))
    for where, table in _files(folder, user_file):
        yield Source(where, _normalise({name: value for name, value in table.items() if name not in SECTIONS}))


def _files(folder: Path | None, user_file: Path | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The tables of the configuration files that are there, the strongest first."""
    start = _current_folder() if folder is None else folder
    if start is not None and (own := _find_upwards(start, FILE_NAME)) is not None:
        yield str(own), _read_toml(own)
    if start is not None and (project := _find_upwards(start, "pyproject.toml")) is not None:
        name = f"{project} [tool.imgtool]"
        yield name, _table(_table(_read_toml(project), "tool", name), "imgtool", name)
    user = _user_file() if user_file is None else user_file
    if user is not None and _is_file(user):
        yield str(user), _read_toml(user)


def _current_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # removed under us, or in a folder that may not be entered: no configuration, no failure
        return None


def _user_file() -> Path | None:
    from platformdirs import user_config_path

    try:
        return user_config_path("imgtool", appauthor=False) / "config.toml"
    except RuntimeError:  # a user without a home has no configuration either
        return None


def _table(table: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    found = table.get(key, {})
    if not isinstance(found, dict):
        raise ConfigProblem(f"{where}: {key!r} is not a table", "write [tool.imgtool] and keys below it")
    return found


# Read by other parts of imgtool or by its tests, not options of a command.
_OTHER_VARIABLES = {"IMGTOOL_COMPLETE", "IMGTOOL_EASYOCR_ENDPOINT", "IMGTOOL_TRACE", "IMGTOOL_TRACE_SPAWNED"}


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        key.removeprefix(ENV_PREFIX).lower(): value
        for key, value in environ.items()
        if key.startswith(ENV_PREFIX) and key not in _OTHER_VARIABLES and not key.startswith("_") and value != ""
    }


def _normalise(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key.replace("-", "_"): value for key, value in table.items()}


def _find_upwards(start: Path, name: str) -> Path | None:
    for folder in (start, *start.parents):
        if _is_file(folder / name):
            return folder / name
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that may not be entered
        return False


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigProblem(f"{path} is not valid TOML: {error}", "mend or remove that file") from error
    except OSError as error:
        raise ConfigProblem(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
    return table
