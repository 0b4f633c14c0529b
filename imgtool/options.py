"""Every option of the engine and of the output, as frozen values with the defaults that the documentation states.

What sets them is :mod:`imgtool.config`'s matter.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from imgtool.errors import StoreNotWritable
from imgtool.ground.home import expanded, without_home
from imgtool.types import DEFAULT_TASKS, Task


class Pages(StrEnum):
    """Which pages of an animated or multi-page file are looked at. ``auto``: all of a document (TIFF, PDF), and of an
    animation the first that shows something."""

    AUTO = "auto"
    FIRST = "first"
    ALL = "all"


class Truncated(StrEnum):
    """What becomes of files that end early and are not nearly whole."""

    REFUSE = "refuse"
    ACCEPT = "accept"


class LoadPolicy(StrEnum):
    """When a worker loads its models: each at its first use, all at once side by side, or all one after the other."""

    LAZY = "lazy"
    PARALLEL = "parallel"
    EAGER = "eager"


class Sandbox(StrEnum):
    """Whether workers are restricted: where this machine can do it, or else not at all, or never."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class BackendChoice(StrEnum):
    """What executes a model that can be run in two ways: compiled where it is here and valid, else torch."""

    AUTO = "auto"
    ONNX = "onnx"
    TORCH = "torch"


class Precision(StrEnum):
    """``exact`` computes in single precision; ``fast`` in whatever this CPU does best, and answers may differ."""

    EXACT = "exact"
    FAST = "fast"


class Weights(StrEnum):
    """Real models, or made-up ones of the same shapes, whose answers mean nothing and say so."""

    REAL = "real"
    SYNTHETIC = "synthetic"


class Scale(StrEnum):
    """How large synthetic weights are: as the real ones, or as small as a test can do with."""

    FULL = "full"
    SMALL = "small"


class OutputFormat(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"
    HTML = "html"


class TextOut(StrEnum):
    """Forms in which the recognised text of each document is kept in a file of its own."""

    TXT = "txt"
    HOCR = "hocr"
    ALTO = "alto"
    PDF = "pdf"


class Sidecar(StrEnum):
    """Files beside each document: the caption, the result, caption and labels as programs for photos read them."""

    TXT = "txt"
    JSON = "json"
    XMP = "xmp"


DEFAULT_LANGUAGES = ("ko", "en")
"""The very object tells a run that names no languages from one that names these."""


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine needs to know. Also the keyword arguments of :class:`imgtool.Engine`.

    Sizes are bytes, durations seconds.
    """

    tasks: tuple[Task, ...] | None = None
    caption_engine: str | None = None
    text_engine: str | None = None
    labels_engine: str | None = None
    languages: tuple[str, ...] = DEFAULT_LANGUAGES
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
    """More than any caption of BLIP's training sets; transformers' own default of 20 cuts some sentences off."""
    min_new_tokens: int = 0

    easyocr_dir: Path | None = None
    ocr: Mapping[str, Any] = {}
    """Parameters of the text engines: names and values of ``imgtool.parameters.TABLES["ocr"]``."""

    labels_model: Path | None = None
    labels_file: Path | None = None
    labels_config: Path | None = None
    classifier: Mapping[str, Any] = {}
    """Preprocessing of the classifier: names and values of ``imgtool.parameters.TABLES["classifier"]``."""
    top_k: int | None = None
    """Most labels of an image: 5, or all that reach ``threshold`` where one is set and labels do not exclude each
    other."""
    threshold: float = 0.0

    codes: Mapping[str, Any] = {}
    """Parameters of the task ``codes``: names and values of ``imgtool.parameters.TABLES["codes"]``."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    pages: Pages = Pages.AUTO
    truncated: Truncated = Truncated.REFUSE
    pdf_dpi: int = 200
    max_pixels: int = 300_000_000
    max_pages: int = 10_000

    batch_size: int = 8
    batch_pixels: int = 48_000_000
    workers: int = 0
    """0: as many as pay (:mod:`imgtool.engine.worker_count`)."""
    threads: int | None = None
    isolate: bool = True
    sandbox: Sandbox = Sandbox.AUTO
    load: LoadPolicy = LoadPolicy.LAZY
    timeout: float = 120.0
    load_timeout: float = 300.0
    idle_ttl: float | None = None
    max_worker_memory: int = 4_000_000_000

    cache: bool = True
    cache_dir: Path | None = None
    cache_size: int = 2_000_000_000
    cache_ttl: float | None = None
    shared_cache: str | None = None
    """URL of a Redis server that holds answers for several machines; ``off`` is none, too."""
    shared_ttl: float = 3600.0
    rehash: bool = False
    cluster: str | None = None
    """Address of a Ray cluster whose nodes compute: ``auto``, ``local``, ``HOST:PORT`` or ``ray://HOST:PORT``."""
    node_timeout: float = 20.0
    """How long a node may be silent before its images are given to others."""
    retry_failed: bool = False

    fail_fast: bool = False
    max_failure_rate: float | None = None

    def __repr__(self) -> str:
        # Whoever logs options must not log a password.
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        if self.shared_cache not in (None, "off"):
            shown["shared_cache"] = "..."
        return f"EngineOptions({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def names_languages(self) -> bool:
        """Whether languages were asked for by name: then an engine that cannot read one answers in part."""
        return self.languages is not DEFAULT_LANGUAGES

    @property
    def shared_url(self) -> str | None:
        """The URL of the shared cache, where there is one: a run without a cache uses none."""
        return self.shared_cache if self.cache and self.shared_cache != "off" else None

    @property
    def codes_looked_for(self) -> str:
        """Which codes the task ``codes`` finds: ``all``, ``barcodes`` or ``hs``."""
        found: str = self.codes.get("find", "all")
        return found

    @property
    def wanted_tasks(self) -> tuple[Task, ...]:
        """The tasks of a run: those asked for, and ``text`` if tariff numbers are to be found in it."""
        tasks = self.tasks or DEFAULT_TASKS
        implied = Task.CODES in tasks and Task.TEXT not in tasks and self.codes_looked_for != "barcodes"
        return (*tasks, Task.TEXT) if implied else tasks


class OutputOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line does with the results."""

    format: OutputFormat | None = None
    output: tuple[Path, ...] = ()
    append: bool = False
    csv_bom: bool | None = None
    """``None``: where CSV goes to a file."""
    text_out: tuple[TextOut, ...] = ()
    sidecar: tuple[Sidecar, ...] = ()
    sidecar_dir: Path | None = None
    overwrite: bool = False
    stats: str | None = None
    database: str | None = None
    quiet: bool = False
    verbose: bool = False


class ServiceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``imgtool serve`` needs to know beside the options of its engine. Sizes are bytes, durations seconds."""

    host: str = "127.0.0.1"
    port: int = 8000
    root: Path | None = None
    """The folder whose images jobs may name by path; ``None``: jobs take uploads alone."""
    api_keys: Path | None = None
    rate_limit: str | None = None
    rate_limit_storage: str | None = None
    trusted_proxy: tuple[str, ...] = ()
    max_body: int = 20 * 1024 * 1024
    queue: int = 64
    """Images that may wait to be computed."""
    deadline: float = 60.0
    grace: float = 30.0
    jobs_dir: Path | None = None
    """Where jobs are kept; ``None``: in the folder of the cache."""
    job_ttl: float = 86_400.0


def cache_root(options: EngineOptions) -> Path:
    """The directory of the result store and the stat index: the one that is set, or the platform's.

    A user without a home has it among temporary files (:func:`imgtool.ground.home.without_home`).

    Raises:
        StoreNotWritable: that folder is another user's.
    """
    if options.cache_dir is not None:
        return expanded(options.cache_dir)
    from platformdirs import user_cache_path

    try:
        return user_cache_path("imgtool", appauthor=False)
    except RuntimeError:  # a user without a home
        _require_own(without_home())
        return without_home() / ".cache" / "imgtool"


def _require_own(folder: Path) -> None:
    """Make ``folder``, whose name anybody can foresee, and refuse one of another user, who may have put anything there.

    Raises:
        StoreNotWritable: it is another user's.
    """
    with suppress(OSError):
        folder.mkdir(mode=0o700)
    with suppress(FileNotFoundError):
        found = folder.lstat()
        if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
            raise StoreNotWritable(
                f"the user has no home, and {folder} is another user's", "name a folder for it: `export HOME=/tmp/home`"
            )
