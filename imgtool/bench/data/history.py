"""Saved experiments of one folder, a file a run, as figures over time."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from imgtool.bench.data.fingerprint import differences, workload_differences
from imgtool.bench.data.record import Experiment, Metric, PageCache
from imgtool.bench.data.saved import BaselineUnusable, load_experiment, save_experiment
from imgtool.bench.stats.statistics import Interval, summarise

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


class SavedRun(Struct, frozen=True, kw_only=True):
    """An experiment and the name of its file."""

    name: str
    experiment: Experiment


class History(Struct, frozen=True, kw_only=True):
    """``runs`` from the oldest to the newest; ``notices`` name what could not be read, and why."""

    runs: tuple[SavedRun, ...]
    notices: tuple[str, ...] = ()


class Point(Struct, frozen=True, kw_only=True):
    """The median of one arm's figure in one run, in seconds or bytes. ``changes`` say in words what of the machine or
    the work changed since the point before: figures on either side of it cannot be compared."""

    created: str
    version: str
    name: str
    n: int
    median: float
    interval: Interval
    changes: tuple[str, ...] = ()


class Series(Struct, frozen=True, kw_only=True):
    """One figure of one arm over time; runs without it have no point."""

    arm: str
    metric: Metric
    page_cache: PageCache
    points: tuple[Point, ...]


def load_history(directory: Path) -> History:
    """What is saved in ``directory``; nothing if there is no such folder yet. A file that is not an experiment is left
    out with a notice.

    Raises:
        BaselineUnusable: it is not a folder, or cannot be read.
    """
    try:
        names = sorted(path for path in directory.iterdir() if path.suffix == ".json" and not path.name.startswith("."))
    except FileNotFoundError:
        names = []
    except OSError as error:
        message = f"{directory} cannot be read: {error.strerror or error}"
        raise BaselineUnusable(message, "name a folder of saved experiments") from error
    runs, notices = [], []
    for path in names:
        try:
            runs.append(SavedRun(name=path.name, experiment=load_experiment(path)))
        except BaselineUnusable as error:
            notices.append(f"left out: {error}")
    runs.sort(key=lambda run: (_moment(run.experiment.created), run.name))
    return History(runs=tuple(runs), notices=tuple(notices))


def append(directory: Path, experiment: Experiment) -> Path:
    """Save ``experiment`` in ``directory`` under a name of its own, which begins with when it was made; returns it.

    Raises:
        imgtool.errors.OutputNotWritable: the folder or the disk does not allow it.
    """
    stamp = re.sub(r"[^0-9TZ+-]", "", experiment.created)[:40] or "undated"
    path = directory / f"{stamp}-{os.urandom(4).hex()}.json"
    save_experiment(path, experiment)
    return path


def trend(runs: Sequence[SavedRun]) -> tuple[Series, ...]:
    """Every figure that any of ``runs``, oldest first, has: by arm in the order of appearance, metric, page cache."""
    arms = dict.fromkeys(arm.name for run in runs for arm in run.experiment.arms)
    found = (
        Series(arm=arm, metric=metric, page_cache=state, points=_points(runs, arm, metric, state))
        for arm in arms
        for metric in Metric
        for state in PageCache
    )
    return tuple(series for series in found if series.points)


def _points(runs: Sequence[SavedRun], arm: str, metric: Metric, state: PageCache) -> tuple[Point, ...]:
    points: list[Point] = []
    former: Experiment | None = None
    for run in runs:
        experiment = run.experiment
        if not (values := experiment.values(arm, metric, state)):
            continue
        changes: list[str] = []
        if former is not None:
            changes = differences(former.machine, experiment.machine)
            changes += workload_differences(former.settings, experiment.settings)
        summary = summarise(values)
        points.append(
            Point(
                created=experiment.created,
                version=experiment.version,
                name=run.name,
                n=summary.n,
                median=summary.median,
                interval=summary.interval,
                changes=tuple(changes),
            )
        )
        former = experiment
    return tuple(points)


def _moment(created: str) -> datetime:
    """The time that ``created`` says in ISO 8601; one that cannot be read counts as older than all."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return _BEFORE_ALL
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
