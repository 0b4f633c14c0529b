"""``imgtool analyze``: options to engine, results to a format, figures to stderr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import typer

from imgtool import trace
from imgtool.cli.analyze import options as o
from imgtool.cli.boundary import boundary

NOT_OPTIONS = {"paths", "from_file", "null"}
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
    max_pixels: o.MaxPixels = None,
    tasks: o.Tasks = None,
    caption_engine: o.CaptionEngine = None,
    text_engine: o.TextEngine = None,
    languages: o.Languages = None,
    strict: o.Strict = None,
    backend: o.Backend = None,
    precision: o.Precision = None,
    weights: o.Weights = None,
    scale: o.Scale = None,
    device: o.Device = None,
    caption_model: o.CaptionModel = None,
    caption_revision: o.CaptionRevision = None,
    caption_prompt: o.CaptionPrompt = None,
    num_beams: o.NumBeams = None,
    max_new_tokens: o.MaxNewTokens = None,
    min_new_tokens: o.MinNewTokens = None,
    easyocr_dir: o.EasyocrDir = None,
    ocr_decoder: o.OcrDecoder = None,
    ocr_beam_width: o.OcrBeamWidth = None,
    ocr_paragraph: o.OcrParagraph = None,
    ocr_min_size: o.OcrMinSize = None,
    ocr_text_threshold: o.OcrTextThreshold = None,
    ocr_low_text: o.OcrLowText = None,
    ocr_link_threshold: o.OcrLinkThreshold = None,
    ocr_canvas_size: o.OcrCanvasSize = None,
    ocr_mag_ratio: o.OcrMagRatio = None,
    ocr_contrast_threshold: o.OcrContrastThreshold = None,
    ocr_adjust_contrast: o.OcrAdjustContrast = None,
    ocr_rotations: o.OcrRotations = None,
    ocr_allowlist: o.OcrAllowlist = None,
    ocr_blocklist: o.OcrBlocklist = None,
    tesseract_psm: o.TesseractPsm = None,
    labels_engine: o.LabelsEngine = None,
    labels_model: o.LabelsModel = None,
    labels_file: o.LabelsFile = None,
    labels_config: o.LabelsConfig = None,
    labels_size: o.LabelsSize = None,
    labels_mean: o.LabelsMean = None,
    labels_std: o.LabelsStd = None,
    labels_layout: o.LabelsLayout = None,
    labels_resize: o.LabelsResize = None,
    top_k: o.TopK = None,
    threshold: o.Threshold = None,
    format: o.Format = None,
    output: o.Output = None,
    stats: o.Stats = None,
    quiet: o.Quiet = None,
    verbose: o.Verbose = None,
    fail_fast: o.FailFast = None,
    max_failure_rate: o.MaxFailureRate = None,
    retry_failed: o.RetryFailed = None,
    cache: o.Cache = None,
    cache_dir: o.CacheDir = None,
    cache_size: o.CacheSize = None,
    cache_ttl: o.CacheTtl = None,
    rehash: o.Rehash = None,
    batch_size: o.BatchSize = None,
    batch_pixels: o.BatchPixels = None,
    workers: o.Workers = None,
    threads: o.Threads = None,
    timeout: o.Timeout = None,
    load_timeout: o.LoadTimeout = None,
    idle_ttl: o.IdleTtl = None,
    max_worker_memory: o.MaxWorkerMemory = None,
    load: o.Load = None,
    isolate: o.Isolate = None,
) -> None:
    """Caption images, read their text, label them. Answers are kept: a second run costs next to nothing."""
    with boundary(verbose=bool(verbose)):
        trace.command_line_read()
        with trace.span("options", "parent"):
            from imgtool.config import resolve

            resolved = resolve({name: value for name, value in ctx.params.items() if name not in NOT_OPTIONS})
        with boundary(verbose=resolved.output.verbose):
            with trace.span("imports", "start"):
                from imgtool.cli.analyze.job import Job

            job = Job(resolved)
            named = _named_paths(paths or (), from_file, null)
            raise typer.Exit(job.run(named))


def _named_paths(paths: Sequence[str], from_file: str | None, null: bool) -> Iterator[str]:
    """Everything the user named, as it comes.

    Raises:
        imgtool.errors.UsageProblem: nothing was named.
        imgtool.errors.PathMissing: the list file does not exist.
    """
    from imgtool.errors import UsageProblem

    lists = [path for path in (from_file, *(p for p in paths if p == "-")) if path is not None]
    named = [path for path in paths if path != "-"]
    if not lists and not named:
        raise UsageProblem(
            "no paths given", "imgtool analyze ./photos, or --from-file LIST, or - to read them from stdin"
        )
    return _chain(named, lists, null)


def _chain(named: Sequence[str], lists: Sequence[str], null: bool) -> Iterator[str]:
    from imgtool.engine.files.path_lists import read_list

    # Opened now, read as they go: a list that is not there is known before anything is written.
    return chain(named, *[read_list(source, null) for source in lists])
