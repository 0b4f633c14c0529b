"""The lines after a run: what was done, how fast, and how much came from the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from imgtool.cli.console import Messages
from imgtool.cli.progress import duration, progress_fields
from imgtool.engine.files.problems import shown
from imgtool.engine.files.words import address_of
from imgtool.engine.statistics import Statistics
from imgtool.formats.clean import printable
from imgtool.options import EngineOptions
from imgtool.types import Task

_SHOWN = 0.005
"""Shares that are no 0 %."""

MOST_FAILED = 10
"""Failed files that are named, at most."""

_NODES = 8
"""Nodes whose figures are shown, at most; --stats has all."""

_KINDS = 9
"""Kinds of files that are named, at most."""


def print_summary(
    messages: Messages, figures: Statistics, outputs: Sequence[Path], failed: Sequence[str] = (), failures: int = 0
) -> None:
    """Print some lines on stderr. ``failed`` names the first of all ``failures``."""
    done = [f"{figures.images:,} {'image' if figures.images == 1 else 'images'}"]
    done += [f"{count:,} {what}" for count, what in ((figures.partial, "partial"), (figures.failed, "failed")) if count]
    if figures.hits:
        shared = f", {figures.hits_shared:,} of them shared" if figures.hits_shared else ""
        done.append(f"{figures.hits:,} from cache ({figures.hit_rate_percent:.0f} %{shared})")
    seconds = f"{figures.wall_seconds:.2f} s" if figures.wall_seconds < 90 else duration(figures.wall_seconds)
    rate = figures.images_per_second if figures.images > 1 else 0
    fields = {**progress_fields(figures), "seconds": figures.wall_seconds, "images_per_second": rate or None}
    told = f"{messages.bold(', '.join(done))} in {seconds}" + (f" ({rate:,.1f} images/s)" if rate else "")
    messages.plain(told, event="summary", fields=fields)
    for line in failed:
        messages.plain(f"failed: {printable(line)}", level="warning", event="image_failed")
    if failures > len(failed):
        messages.plain(f"failed: {failures - len(failed):,} more")
    if figures.passed_over:
        messages.plain(passed_over(figures))
    for line in _details(figures):
        messages.faint(line)
    if places := [shown(str(place)) for place in outputs]:
        messages.plain(f"written to {' and '.join(places)}")


def after_gallery(gallery: Path, figures: Statistics, options: EngineOptions, *, recorded: bool) -> str:
    """What to do with ``gallery``, and what to try next: a search, where results are ``recorded`` in the database of
    the cache folder."""
    import shlex

    from imgtool.weights.warm_command import cache_words

    said = f"open {address_of(str(gallery.expanduser()))} in a browser (? shows its keys)"
    if not recorded:
        return said
    answers = (task for task in (Task.TEXT, Task.CODES, Task.LABELS, Task.CAPTION) if task in options.wanted_tasks)
    query = "status:failed" if figures.failed else f"has:{next(answers)}"
    return f"{said}; to find images again: {shlex.join(['imgtool', 'search', *cache_words(options), query])}"


def passed_over(figures: Statistics) -> str:
    """``327 other files passed over: 210 .txt, 44 .fli, ...``."""
    count = sum(figures.passed_over.values())
    kinds = [f"{number:,} {kind}" for kind, number in figures.passed_over.items()]
    more = [f"{len(kinds) - _KINDS} other kinds"] if len(kinds) > _KINDS + 1 else kinds[_KINDS:]
    what = "1 other file" if count == 1 else f"{count:,} other files"
    return f"{what} passed over: {', '.join([*kinds[:_KINDS], *more])}"


def _details(figures: Statistics) -> Iterator[str]:
    """``mean per computed image: text 0.61 s, caption 0.02 s``, then loads and what happened to workers, if anything.

    Loads that run side by side overlap.
    """
    means = ((name, task.inference_seconds_mean) for name, task in figures.tasks.items())
    if tasks := [f"{name} {mean:.2f} s" for name, mean in means if mean]:
        yield "mean per computed image: " + ", ".join(tasks)
    models = [
        f"{model.analyzer} {model.import_seconds + model.load_seconds:.2f} s (imports {model.import_seconds:.2f} s)"
        for model in figures.models
        if model.task in figures.tasks
    ]
    if models:
        yield "models loaded: " + ", ".join(models)
    workers = figures.workers
    if busy := [f"{stage} {100 * share:.0f} %" for stage, share in figures.stages.items() if share >= _SHOWN]:
        count = "1 worker" if workers.started == 1 else f"{workers.started} workers"
        yield f"share of the time of {count}, partly side by side: " + ", ".join(busy)
    ranked = sorted(workers.nodes.items(), key=lambda entry: -entry[1].images)
    if nodes := [
        f"{name} {node.images:,} images ({node.images_per_second:.1f}/s"
        + (f", {node.state})" if node.state != "working" else ")")
        for name, node in ranked[:_NODES]
    ]:
        more = [f"{len(ranked) - _NODES:,} more"] if len(ranked) > _NODES else []
        yield f"nodes: {', '.join([*nodes, *more])}"
    counts = (
        (workers.died, "crashed"),
        (workers.timed_out, "timed out"),
        (workers.recycled, "replaced because of their memory"),
    )
    if trouble := [f"{count} {what}" for count, what in counts if count]:
        yield "workers: " + ", ".join(trouble)
