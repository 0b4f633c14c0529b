"""The keyword arguments of :class:`imgtool.Engine`, for type checkers: the options of the engine, as people write them.

Sizes may be texts such as ``"2GB"``, durations such as ``"30d"``, as on the command line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from imgtool.options import BackendChoice, LoadPolicy, Pages, Precision, Sandbox, Scale, Truncated, Weights
from imgtool.types import Task


class EngineKeywords(TypedDict, total=False):
    """See :class:`imgtool.options.EngineOptions`."""

    tasks: Iterable[Task | str] | None
    caption_engine: str | None
    text_engine: str | None
    labels_engine: str | None
    languages: Iterable[str]
    strict: bool
    backend: BackendChoice | str
    precision: Precision | str
    weights: Weights | str
    scale: Scale | str
    device: str
    caption_model: str | None
    caption_revision: str | None
    caption_prompt: str | None
    num_beams: int
    max_new_tokens: int
    min_new_tokens: int
    easyocr_dir: str | os.PathLike[str] | None
    ocr: Mapping[str, Any]
    labels_model: str | os.PathLike[str] | None
    labels_file: str | os.PathLike[str] | None
    labels_config: str | os.PathLike[str] | None
    classifier: Mapping[str, Any]
    codes: Mapping[str, Any]
    top_k: int | None
    threshold: float
    include: Iterable[str]
    exclude: Iterable[str]
    hidden: bool
    pages: Pages | str
    truncated: Truncated | str
    pdf_dpi: int
    max_pixels: int | str
    max_pages: int
    batch_size: int
    batch_pixels: int | str
    workers: int
    threads: int | None
    isolate: bool
    sandbox: Sandbox | str
    load: LoadPolicy | str
    timeout: float | str
    load_timeout: float | str
    cluster: str | None
    node_timeout: float | str
    idle_ttl: float | str | None
    max_worker_memory: int | str
    cache: bool
    cache_dir: str | os.PathLike[str] | None
    cache_size: int | str
    cache_ttl: float | str | None
    shared_cache: str | None
    shared_ttl: float | str
    rehash: bool
    retry_failed: bool
    fail_fast: bool
    max_failure_rate: float | None
