"""The options of ``imgtool analyze`` as Typer reads them.

Every default is ``None`` here: what a flag leaves open is resolved by ``imgtool.config``, and the defaults are in
``imgtool.options``.
"""

from __future__ import annotations

from typing import Annotated, Optional

import typer

_INPUT, _TASKS, _CAPTION, _OCR, _LABELS = "Input", "What is asked", "BLIP", "EasyOCR and Tesseract", "Classifier"
_OUTPUT, _FAILURES, _CACHE, _WORK = "Output", "Failures", "Cache", "Work"

# Typer reads these at run time, and Python 3.10 is supported: `X | None` in an evaluated annotation is fine, but
# `Optional` is what every supported Typer documents.
Text = Optional[str]  # noqa: UP045
Flag = Optional[bool]  # noqa: UP045
Many = Optional[list[str]]  # noqa: UP045

Paths = Annotated[Many, typer.Argument(help="Files, folders or globs; - reads paths from stdin.", show_default=False)]


def _option(panel: str, help: str, *names: str, takes: str | None = None, default: str | bool = False) -> object:
    return typer.Option(*names, help=help, rich_help_panel=panel, metavar=takes, show_default=default)


FromFile = Annotated[Text, _option(_INPUT, "Read paths from a file, one a line.", "--from-file", takes="LIST")]
Null = Annotated[bool, _option(_INPUT, "Paths in the list end with NUL, not newline.", "--null", "-0")]
Include = Annotated[Many, _option(_INPUT, "Only files that match this glob. Repeatable.", "--include", takes="GLOB")]
Exclude = Annotated[Many, _option(_INPUT, "No files or folders that match. Repeatable.", "--exclude", takes="GLOB")]
Hidden = Annotated[Flag, _option(_INPUT, "Also hidden files and folders.", "--hidden/--no-hidden")]
Pages = Annotated[
    Text, _option(_INPUT, "first or all pages of animated and multi-page files.", takes="WHICH", default="first")
]
MaxPixels = Annotated[Text, _option(_INPUT, "Refuse larger images, undecoded.", takes="SIZE", default="300M")]

Tasks = Annotated[
    Text, _option(_TASKS, "caption, text, labels.", "--tasks", "-t", takes="NAMES", default="all that have an engine")
]
CaptionEngine = Annotated[Text, _option(_TASKS, "Which engine captions; see imgtool models.", takes="NAME")]
TextEngine = Annotated[Text, _option(_TASKS, "Which engine reads text.", takes="NAME")]
Device = Annotated[Text, _option(_TASKS, "auto, cpu, cuda, cuda:N or mps.", takes="NAME", default="auto")]

Backend = Annotated[
    Text, _option(_TASKS, "auto, onnx (compiled models) or torch.", "--backend", takes="NAME", default="auto")
]
Precision = Annotated[
    Text, _option(_TASKS, "exact, or fast: answers may differ.", "--precision", takes="NAME", default="exact")
]
Weights = Annotated[
    Text,
    _option(_TASKS, "real, or synthetic: random ones, for measuring.", "--weights", takes="NAME", default="real"),
]
Scale = Annotated[Text, _option(_TASKS, "Size of synthetic weights, full or small.", takes="NAME", default="full")]

CaptionModel = Annotated[Text, _option(_CAPTION, "A BLIP of the hub, or a folder.", takes="NAME", default="BLIP base")]
CaptionRevision = Annotated[Text, _option(_CAPTION, "Its commit, tag or branch.", takes="REV", default="as baked")]
CaptionPrompt = Annotated[Text, _option(_CAPTION, "What the caption begins with.", takes="TEXT")]
NumBeams = Annotated[Text, _option(_CAPTION, "Beams of the search; 1 is greedy.", takes="N", default="1")]
MaxNewTokens = Annotated[Text, _option(_CAPTION, "Longest caption, in tokens.", takes="N", default="30")]
MinNewTokens = Annotated[Text, _option(_CAPTION, "Shortest caption, in tokens.", takes="N", default="0")]

EasyocrDir = Annotated[Text, _option(_OCR, "Where EasyOCR's files are.", takes="DIR", default="EasyOCR's own")]
OcrDecoder = Annotated[Text, _option(_OCR, "greedy, beamsearch or wordbeamsearch.", takes="NAME", default="greedy")]
OcrBeamWidth = Annotated[Text, _option(_OCR, "Beams of the decoder.", takes="N", default="5")]
OcrParagraph = Annotated[Flag, _option(_OCR, "Join lines into paragraphs.", "--ocr-paragraph/--no-ocr-paragraph")]
OcrMinSize = Annotated[Text, _option(_OCR, "Smallest box, in pixels.", takes="N", default="20")]
OcrTextThreshold = Annotated[Text, _option(_OCR, "Confidence of text.", takes="SHARE", default="0.7")]
OcrLowText = Annotated[Text, _option(_OCR, "Lower bound of the text score.", takes="SHARE", default="0.4")]
OcrLinkThreshold = Annotated[Text, _option(_OCR, "Confidence of links.", takes="SHARE", default="0.4")]
OcrCanvasSize = Annotated[Text, _option(_OCR, "Longest side looked at.", takes="N", default="2560")]
OcrMagRatio = Annotated[Text, _option(_OCR, "Magnification before detection.", takes="X", default="1")]
OcrContrastThreshold = Annotated[
    Text, _option(_OCR, "Contrast below which to try again.", takes="SHARE", default="0.1")
]
OcrAdjustContrast = Annotated[Text, _option(_OCR, "Contrast of the second try.", takes="SHARE", default="0.5")]
OcrRotations = Annotated[Text, _option(_OCR, "Also try these angles, 90,180,270.", takes="NUMBERS")]
OcrAllowlist = Annotated[Text, _option(_OCR, "Only these characters.", takes="TEXT")]
OcrBlocklist = Annotated[Text, _option(_OCR, "Not these characters.", takes="TEXT")]
TesseractPsm = Annotated[Text, _option(_OCR, "Tesseract's page segmentation mode.", takes="N", default="4")]

LabelsEngine = Annotated[Text, _option(_LABELS, "Which engine labels.", takes="NAME")]
Languages = Annotated[
    Text, _option(_TASKS, "Languages of the text, ISO 639-1.", "--languages", "-l", takes="CODES", default="ko,en")
]
Strict = Annotated[Flag, _option(_TASKS, "Fail rather than let another engine stand in.", "--strict/--no-strict")]

LabelsModel = Annotated[Text, _option(_LABELS, "An ONNX classifier.", "--labels-model", takes="FILE")]
LabelsFile = Annotated[Text, _option(_LABELS, "Its class names, one a line.", "--labels-file", takes="FILE")]
LabelsConfig = Annotated[Text, _option(_LABELS, "Its preprocessing as JSON.", takes="FILE", default="MODEL.json")]
LabelsSize = Annotated[Text, _option(_LABELS, "Input size, 224 or 224x256 (H x W).", takes="SIZE")]
LabelsMean = Annotated[Text, _option(_LABELS, "Mean of each channel, 0.485,0.456,0.406.", takes="NUMBERS")]
LabelsStd = Annotated[Text, _option(_LABELS, "Standard deviation of each channel.", takes="NUMBERS")]
LabelsLayout = Annotated[Text, _option(_LABELS, "NCHW or NHWC.", takes="NAME")]
LabelsResize = Annotated[Text, _option(_LABELS, "squash, crop or pad.", takes="RULE")]
TopK = Annotated[Text, _option(_LABELS, "How many labels at most.", "--top-k", takes="N", default="5")]
Threshold = Annotated[
    Text, _option(_LABELS, "No labels below this probability.", "--threshold", takes="SHARE", default="0")
]

Format = Annotated[
    Text,
    _option(
        _OUTPUT, "table, json, jsonl, csv, parquet, html.", "--format", "-f", takes="NAME", default="from -o, or table"
    ),
]
Output = Annotated[Text, _option(_OUTPUT, "Write to a file instead of stdout.", "--output", "-o", takes="FILE")]
Stats = Annotated[Text, _option(_OUTPUT, "Statistics as JSON to a file; - is stderr.", "--stats", takes="FILE")]
Quiet = Annotated[Flag, _option(_OUTPUT, "Nothing on stderr but errors.", "--quiet/--no-quiet", "-q")]
Verbose = Annotated[Flag, _option(_OUTPUT, "Where options come from; tracebacks.", "--verbose/--no-verbose", "-v")]

FailFast = Annotated[Flag, _option(_FAILURES, "Stop at the first failure.", "--fail-fast/--no-fail-fast")]
MaxFailureRate = Annotated[Text, _option(_FAILURES, "Stop when a larger share failed, 0 to 1.", takes="SHARE")]
RetryFailed = Annotated[Flag, _option(_FAILURES, "Only what failed before.", "--retry-failed/--no-retry-failed")]

Cache = Annotated[Flag, _option(_CACHE, "Keep answers and use kept ones.", "--cache/--no-cache", default="cache")]
CacheDir = Annotated[Text, _option(_CACHE, "Where answers are kept.", takes="DIR", default="the user's cache folder")]
CacheSize = Annotated[Text, _option(_CACHE, "Its size limit; the oldest go first.", takes="SIZE", default="2GB")]
CacheTtl = Annotated[Text, _option(_CACHE, "Answers older than this are asked again.", takes="TIME", default="never")]
Database = Annotated[
    Text,
    _option(
        _CACHE,
        "Where results are kept for search, sqlite:///FILE or postgresql://...; off is nowhere.",
        "--database",
        takes="URL",
        default="in the cache folder",
    ),
]
Rehash = Annotated[Flag, _option(_CACHE, "Read every file, even unchanged ones.", "--rehash/--no-rehash")]

BatchSize = Annotated[Text, _option(_WORK, "Images given to a worker at once.", takes="N", default="8")]
BatchPixels = Annotated[Text, _option(_WORK, "Pixels decoded ahead.", takes="SIZE", default="48M")]
Workers = Annotated[Text, _option(_WORK, "Worker processes.", "--workers", "-j", takes="N", default="1")]
Threads = Annotated[Text, _option(_WORK, "Threads a worker.", takes="N", default="granted cores / workers")]
Timeout = Annotated[Text, _option(_WORK, "For one task on one image.", takes="TIME", default="120s")]
LoadTimeout = Annotated[Text, _option(_WORK, "For loading a model.", takes="TIME", default="300s")]
IdleTtl = Annotated[Text, _option(_WORK, "Unload models after so long without work.", takes="TIME", default="never")]
MaxWorkerMemory = Annotated[
    Text, _option(_WORK, "Replace a worker that has grown past it.", takes="SIZE", default="4GB")
]
Load = Annotated[Text, _option(_WORK, "When models load: lazy, parallel or eager.", takes="HOW", default="lazy")]
Isolate = Annotated[Flag, _option(_WORK, "Work in a process of its own.", "--isolate/--no-isolate", default="isolate")]
