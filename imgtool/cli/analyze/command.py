"""``imgtool analyze``: options to engine, results to a format, figures to stderr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import typer

from imgtool import trace
from imgtool.cli.analyze import options as o
from imgtool.cli.boundary import boundary
from imgtool.cli.help import HelpAll

if TYPE_CHECKING:
    from imgtool.engine.files.discover import Named

NOT_OPTIONS = {"paths", "from_file", "null", "help_all"}
"""Parameters that say what to analyze, not how."""


def analyze(
    ctx: typer.Context,
    paths: o.Paths = None,
    from_file: o.FromFile = None,
    null: o.Null = False,
    include: o.Include = None,
    exclude: o.Exclude = None,
    hidden: o.Hidden = None,
    pages: o.Pages = None,
    truncated: o.Truncated = None,
    pdf_dpi: o.PdfDpi = None,
    tasks: o.Tasks = None,
    languages: o.Languages = None,
    caption_engine: o.CaptionEngine = None,
    text_engine: o.TextEngine = None,
    ocr: o.Ocr = None,
    labels_model: o.LabelsModel = None,
    labels_file: o.LabelsFile = None,
    classifier: o.Classifier = None,
    top_k: o.TopK = None,
    codes: o.Codes = None,
    strict: o.Strict = None,
    format: o.Format = None,
    output: o.Output = None,
    append: o.Append = None,
    csv_bom: o.CsvBom = None,
    stats: o.Stats = None,
    text_out: o.TextOut = None,
    sidecar: o.Sidecar = None,
    sidecar_dir: o.SidecarDir = None,
    overwrite: o.Overwrite = None,
    quiet: o.Quiet = None,
    verbose: o.Verbose = None,
    cache: o.Cache = None,
    cache_dir: o.CacheDir = None,
    shared_cache: o.SharedCache = None,
    cluster: o.Cluster = None,
    database: o.Database = None,
    retry_failed: o.RetryFailed = None,
    fail_fast: o.FailFast = None,
    workers: o.Workers = None,
    timeout: o.Timeout = None,
    device: o.Device = None,
    precision: o.Precision = None,
    backend: o.Backend = None,
    easyocr_dir: o.EasyocrDir = None,
    labels_engine: o.LabelsEngine = None,
    labels_config: o.LabelsConfig = None,
    threshold: o.Threshold = None,
    caption_model: o.CaptionModel = None,
    caption_revision: o.CaptionRevision = None,
    caption_prompt: o.CaptionPrompt = None,
    num_beams: o.NumBeams = None,
    max_new_tokens: o.MaxNewTokens = None,
    min_new_tokens: o.MinNewTokens = None,
    max_pixels: o.MaxPixels = None,
    max_pages: o.MaxPages = None,
    max_failure_rate: o.MaxFailureRate = None,
    cache_size: o.CacheSize = None,
    cache_ttl: o.CacheTtl = None,
    shared_ttl: o.SharedTtl = None,
    rehash: o.Rehash = None,
    load_timeout: o.LoadTimeout = None,
    node_timeout: o.NodeTimeout = None,
    idle_ttl: o.IdleTtl = None,
    max_worker_memory: o.MaxWorkerMemory = None,
    sandbox: o.Sandbox = None,
    threads: o.Threads = None,
    batch_size: o.BatchSize = None,
    batch_pixels: o.BatchPixels = None,
    weights: o.Weights = None,
    scale: o.Scale = None,
    load: o.Load = None,
    isolate: o.Isolate = None,
    help_all: HelpAll = False,
) -> None:
    """Caption images, read their text, label them. PATH is a file, a folder or a glob; - reads paths from stdin.

    Results are cached: images that were analyzed before cost next to nothing.
    """
    with boundary(verbose=bool(verbose)):
        trace.command_line_read()
        with trace.span("options", "parent"):
            from imgtool.config import resolve

            resolved = resolve({name: value for name, value in ctx.params.items() if name not in NOT_OPTIONS})
        with boundary(verbose=resolved.output.verbose):
            with trace.span("imports", "start"):
                from imgtool.cli.analyze.run import AnalyzeRun

            run = AnalyzeRun(resolved)
            named = _named_paths(paths or (), from_file, null)
            only = paths[0] if paths is not None and len(paths) == 1 and from_file is None else None
            raise typer.Exit(run.run(named, only))


def _named_paths(paths: Sequence[str], from_file: str | None, null: bool) -> Iterator[Named]:
    """Everything the user named, as it comes.

    Raises:
        imgtool.errors.UsageProblem: nothing was named.
        imgtool.errors.PathMissing: the list file does not exist.
    """
    from imgtool.engine.files.path_lists import read_list
    from imgtool.errors import UsageProblem

    lists = [path for path in (from_file, *(p for p in paths if p == "-")) if path is not None]
    named = [path for path in paths if path != "-"]
    if not lists and not named:
        raise UsageProblem(
            "no paths given", "imgtool analyze ./photos, or --from-file LIST, or - to read them from stdin"
        )
    if null and not lists:
        raise UsageProblem(
            "-0 is about a list of paths, and there is none", "name one with --from-file, or leave -0 out"
        )
    # Opened now, read as they go: a list that is not there is known before anything is written.
    return chain(named, *[read_list(source, null) for source in lists])
