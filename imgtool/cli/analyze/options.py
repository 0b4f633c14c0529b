"""The options of ``imgtool analyze`` as Typer reads them.

Every default is ``None`` here: what a flag leaves open is resolved by ``imgtool.config``, and the defaults are in
``imgtool.options``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from imgtool.cli import completion

_INPUT, _TASKS, _OUTPUT, _RUN = "Images", "Tasks", "Output", "Cache and speed"
_FILES = "A file for each document"
_MODELS, _CAPTIONS, _LIMITS, _MEASURING = "Models", "Captions by BLIP", "Limits", "For measuring"
RARE_PANELS = (_MODELS, _CAPTIONS, _LIMITS, _MEASURING, "Logs")
"""What ``--help`` leaves out and ``--help-all`` shows."""

Text = str | None
Flag = bool | None
Many = list[str] | None


_VALUES: dict[str, Callable[..., list[str]]] = {
    "--tasks": completion.tasks,
    "--languages": completion.languages,
    "--caption-engine": completion.engines("caption"),
    "--text-engine": completion.engines("text"),
    "--caption-model": completion.caption_models,
    "--format": completion.formats,
    "--text-out": completion.text_forms,
    "--sidecar": completion.sidecars,
    "--database": completion.databases,
    "--labels-engine": completion.engines("labels"),
    "--backend": completion.choices("BackendChoice"),
    "--precision": completion.choices("Precision"),
    "--load": completion.choices("LoadPolicy"),
    "--weights": completion.choices("Weights"),
    "--scale": completion.choices("Scale"),
    "--pages": completion.choices("Pages"),
    "--truncated": completion.choices("Truncated"),
    "--sandbox": completion.choices("Sandbox"),
    "--device": completion.words("auto", "cpu", "cuda", "mps"),
    "--arms": completion.arms,
    "--page-cache": completion.words("warm", "cold", "both"),
    "--view": completion.words("phases", "memory", "cpu", "imports"),
}
"""What the shell proposes for options, by their first name."""


def option(
    panel: str,
    help: str,
    *names: str,
    takes: str | None = None,
    default: str | bool = False,
    hidden: bool = False,
    values: Callable[..., list[str]] | None = None,
) -> object:
    """An option of the ``panel`` of a command's help; ``default`` is what is shown as its default, true for its own.
    ``values`` lists what the shell proposes where that is not what it proposes for others of the name."""
    return typer.Option(
        *names,
        help=help,
        rich_help_panel=panel,
        metavar=takes,
        show_default=default,
        hidden=hidden,
        autocompletion=values or (_VALUES.get(names[0]) if names else None),
    )


Paths = Annotated[Many, typer.Argument(metavar="[PATH]...", hidden=True)]
FromFile = Annotated[Text, option(_INPUT, "Read paths from a file, one per line.", "--from-file", takes="FILE")]
Null = Annotated[bool, option(_INPUT, "Paths in that list end with NUL, not newline.", "--null", "-0")]
Include = Annotated[Many, option(_INPUT, "Only files that match. Repeatable.", "--include", takes="GLOB")]
Exclude = Annotated[Many, option(_INPUT, "No files or folders that match. Repeatable.", "--exclude", takes="GLOB")]
Hidden = Annotated[Flag, option(_INPUT, "Also hidden files and folders.", "--hidden/--no-hidden")]
Pages = Annotated[Text, option(_INPUT, "Pages: auto (default), first or all.", "--pages", takes="WHICH")]
Truncated = Annotated[Text, option(_INPUT, "Files cut short: refuse (default) or accept.", "--truncated", takes="WHAT")]
PdfDpi = Annotated[Text, option(_INPUT, "Resolution of PDF pages (default: 200).", "--pdf-dpi", takes="N")]

Tasks = Annotated[Text, option(_TASKS, "caption,text,labels (default), codes.", "--tasks", "-t", takes="NAMES")]
Languages = Annotated[Text, option(_TASKS, "Languages of text (default: ko,en).", "--languages", "-l", takes="CODES")]
CaptionEngine = Annotated[Text, option(_TASKS, "blip (default) or describe.", "--caption-engine", takes="ENGINE")]
TextEngine = Annotated[Text, option(_TASKS, "easyocr, rapidocr or tesseract.", "--text-engine", takes="ENGINE")]
Ocr = Annotated[Many, option(_TASKS, "Set a parameter of the text engine.", "--ocr", takes="NAME=VALUE")]
LabelsModel = Annotated[Text, option(_TASKS, "ONNX file or folder that gives labels.", takes="PATH")]
LabelsFile = Annotated[Text, option(_TASKS, "Its class names: lines, CSV or JSON.", takes="FILE")]
Classifier = Annotated[Many, option(_TASKS, "Set a parameter of the classifier.", "--classifier", takes="NAME=VALUE")]
TopK = Annotated[Text, option(_TASKS, "Most labels per image (default: 5).", "--top-k", takes="N")]
Codes = Annotated[Many, option(_TASKS, "Set a parameter of the task codes.", "--codes", takes="NAME=VALUE")]
Strict = Annotated[Flag, option(_TASKS, "Fail rather than use another engine.", "--strict/--no-strict")]

Format = Annotated[
    Text, option(_OUTPUT, "table, json, jsonl, csv, xlsx, parquet or html.", "--format", "-f", takes="NAME")
]
Output = Annotated[
    Many, option(_OUTPUT, "Write to a file: .csv, .html, ... Repeatable.", "--output", "-o", takes="FILE")
]
Append = Annotated[Flag, option(_OUTPUT, "Add to a JSON Lines file.", "--append/--no-append")]
CsvBom = Annotated[Flag, option(_OUTPUT, "CSV files without a byte order mark.", "--csv-bom/--no-csv-bom")]
Stats = Annotated[Text, option(_OUTPUT, "Write statistics as JSON; - is stderr.", "--stats", takes="FILE")]
Quiet = Annotated[Flag, option(_OUTPUT, "Only errors on stderr.", "--quiet/--no-quiet", "-q")]
Verbose = Annotated[
    Flag, option(_OUTPUT, "Show where options come from, and tracebacks.", "--verbose/--no-verbose", "-v")
]

TextOut = Annotated[Text, option(_FILES, "Its text as txt, hocr, alto, pdf (searchable).", "--text-out", takes="FORMS")]
Sidecar = Annotated[Text, option(_FILES, "txt (its caption), json or xmp.", "--sidecar", takes="FORMS")]
SidecarDir = Annotated[Text, option(_FILES, "Under this folder, not beside it.", "--sidecar-dir", takes="DIR")]
Overwrite = Annotated[Flag, option(_FILES, "Replace such files that exist.", "--overwrite/--no-overwrite")]

Cache = Annotated[Flag, option(_RUN, "Neither use nor store results.", "--cache/--no-cache")]
CacheDir = Annotated[Text, option(_RUN, "Where results and models are stored.", takes="DIR")]
SharedCache = Annotated[Text, option(_RUN, "Redis with results of other machines, too.", "--shared-cache", takes="URL")]
Cluster = Annotated[Text, option(_RUN, "On a Ray cluster: auto, local or a URL.", "--cluster", takes="ADDRESS")]
Database = Annotated[Text, option(_RUN, "Where search finds results; off: nowhere.", "--database", takes="URL")]
RetryFailed = Annotated[Flag, option(_RUN, "Only images that failed before.", "--retry-failed/--no-retry-failed")]
FailFast = Annotated[Flag, option(_RUN, "Stop at the first failure.", "--fail-fast/--no-fail-fast")]
Workers = Annotated[Text, option(_RUN, "Worker processes (default: what pays).", "--workers", "-j", takes="N")]
Timeout = Annotated[Text, option(_RUN, "Limit per task and image (default: 120s).", takes="TIME")]
Device = Annotated[Text, option(_RUN, "auto (default), cpu, cuda, cuda:N or mps.", "--device", takes="NAME")]
Precision = Annotated[Text, option(_RUN, "exact (default) or fast (may differ).", "--precision", takes="NAME")]

Backend = Annotated[Text, option(_MODELS, "auto (default), onnx (compiled) or torch.", "--backend", takes="NAME")]
EasyocrDir = Annotated[Text, option(_MODELS, "EasyOCR's files (default: its own folder).", takes="DIR")]
LabelsEngine = Annotated[Text, option(_MODELS, "classifier is the only one so far.", "--labels-engine", takes="ENGINE")]
LabelsConfig = Annotated[Text, option(_MODELS, "The classifier's preprocessing as JSON.", takes="FILE")]
Threshold = Annotated[Text, option(_MODELS, "Least probability of a label (default: 0).", "--threshold", takes="SHARE")]

CaptionModel = Annotated[
    Text, option(_CAPTIONS, "Another BLIP: its name on the hub, or a folder.", "--caption-model", takes="NAME")
]
CaptionRevision = Annotated[Text, option(_CAPTIONS, "Its commit, tag or branch.", takes="REV")]
CaptionPrompt = Annotated[Text, option(_CAPTIONS, "How the caption begins.", takes="TEXT")]
NumBeams = Annotated[Text, option(_CAPTIONS, "Beams of the search (default: 1).", takes="N")]
MaxNewTokens = Annotated[Text, option(_CAPTIONS, "Longest caption, in tokens (default: 30).", takes="N")]
MinNewTokens = Annotated[Text, option(_CAPTIONS, "Shortest caption, in tokens (default: 0).", takes="N")]

MaxPixels = Annotated[Text, option(_LIMITS, "Refuse larger images (default: 300M).", takes="SIZE")]
MaxPages = Annotated[Text, option(_LIMITS, "Refuse longer documents (default: 10000).", takes="N")]
MaxFailureRate = Annotated[Text, option(_LIMITS, "Stop if a larger share fails, 0 to 1.", takes="SHARE")]
CacheSize = Annotated[Text, option(_LIMITS, "Size of the cache (default: 2GB).", takes="SIZE")]
CacheTtl = Annotated[Text, option(_LIMITS, "Recompute older results (default: never).", takes="TIME")]
SharedTtl = Annotated[Text, option(_LIMITS, "How long they are shared (default: 1h).", takes="TIME")]
Rehash = Annotated[Flag, option(_LIMITS, "Read unchanged files again, too.", "--rehash/--no-rehash")]
LoadTimeout = Annotated[Text, option(_LIMITS, "Limit for loading a model (default: 300s).", takes="TIME")]
NodeTimeout = Annotated[Text, option(_LIMITS, "Give up a silent node after this (default: 20s).", takes="TIME")]
IdleTtl = Annotated[Text, option(_LIMITS, "Unload idle models after this (default: never).", takes="TIME")]
MaxWorkerMemory = Annotated[
    Text, option(_LIMITS, "Replace workers above this; half for a PDF page (default: 4GB).", takes="SIZE")
]
Sandbox = Annotated[Text, option(_LIMITS, "Restrict workers: auto (default), on or off.", "--sandbox", takes="WHEN")]
Threads = Annotated[Text, option(_LIMITS, "Threads per worker (default: cores / workers).", takes="N")]
BatchSize = Annotated[Text, option(_LIMITS, "Images per batch (default: 8).", takes="N")]
BatchPixels = Annotated[Text, option(_LIMITS, "Pixels per batch (default: 48M).", takes="SIZE")]

Weights = Annotated[
    Text, option(_MEASURING, "real (default), or synthetic: random weights.", "--weights", takes="NAME", hidden=True)
]
Scale = Annotated[
    Text, option(_MEASURING, "Of synthetic weights: full (default) or small.", "--scale", takes="NAME", hidden=True)
]
Load = Annotated[
    Text, option(_MEASURING, "When models load: lazy (default), parallel, eager.", "--load", takes="NAME", hidden=True)
]
Isolate = Annotated[
    Flag, option(_MEASURING, "Run models in this process, without a worker.", "--isolate/--no-isolate", hidden=True)
]
