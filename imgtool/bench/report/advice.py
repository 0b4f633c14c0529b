"""What an arm gained on the reference, phase by phase; what is left, and which option would reduce it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imgtool.bench.data.record import Arm, ArmKind, Experiment, Metric, PageCache
from imgtool.bench.measure.phase_shares import median_shares
from imgtool.bench.report.findings import Findings, metric_name
from imgtool.bench.report.units import unlike_text

SWITCHES: tuple[tuple[str, str], ...] = (
    ("--backend torch", "upstream's libraries instead of compiled models"),
    ("--precision exact", "compiled models with upstream's answers, where fast was asked for"),
    ("--load eager", "every model is loaded before the first image, one after the other"),
    ("--no-cache", "every answer is computed anew, and none is kept"),
    ("--no-isolate", "no worker process: the models run in the command's own"),
    ("--batch-size 1", "one image at a time"),
)
"""Options that switch a fast path off, and what happens then."""

_TASKS = {"caption", "text", "labels"}
_STORE = {"store", "open store", "look up", "hash", "write", "list"}
_START = {"interpreter", "command line", "options", "plan", "start worker"}

_COMPILED = ("imgtool warm-cache, then --backend onnx", "compiled models need no import of torch")
_FAST = ("--precision fast", "reduced precision is faster where the processor supports it; answers may differ")
_SHARED = ("", "a command over many images pays for it once, and the Python API's Engine keeps its models")

_FASTER_BY, _MORE_MEMORY, _FIRST_RESULT_SECONDS = 0.3, 1.2, 5.0


@dataclass(frozen=True)
class Gain:
    """A group of phases until the first result: seconds of the reference and of the arm. ``share`` is its part of all
    seconds gained, ``None`` if it took longer than in the reference."""

    group: str
    before: float
    after: float
    share: float | None


@dataclass(frozen=True)
class Remainder:
    """A phase until the first result: seconds, its share of all phases, the option that would reduce it (empty if there
    is none), and why."""

    phase: str
    seconds: float
    share: float
    option: str
    why: str


@dataclass(frozen=True)
class TargetCheck:
    """A target, the figure, and whether it is met; ``None`` if it was not measured."""

    text: str
    measured: str
    met: bool | None


def default_arm(experiment: Experiment) -> str:
    """The arm to explain unless one is named: ``analyze`` without options, or ``compiled``, or the last one.

    Never the best by its figures: that would be picking.
    """
    reference = Findings(experiment).reference
    others = [arm for arm in experiment.arms if arm.name != reference]
    plain = [arm.name for arm in others if arm.kind is ArmKind.ANALYZE and not arm.options and arm.name != "cached"]
    compiled = [arm.name for arm in others if arm.name == "compiled"]
    return next(iter([*plain, *compiled, *(arm.name for arm in reversed(others))]), reference)


def gains(experiment: Experiment, reference: str, arm: str) -> list[Gain]:
    """By group of phases, the largest gain first; empty if the phases of one of the two are not known."""
    before, after = (_grouped(median_shares(experiment, name)) for name in (reference, arm))
    if not before or not after:
        return []
    gained = {name: before.get(name, 0.0) - after.get(name, 0.0) for name in {**before, **after}}
    total = sum(seconds for seconds in gained.values() if seconds > 0)
    return [
        Gain(name, before.get(name, 0.0), after.get(name, 0.0), gained[name] / total if gained[name] > 0 else None)
        for name in sorted(gained, key=lambda name: -gained[name])
    ]


def _grouped(shares: Mapping[str, float]) -> dict[str, float]:
    groups: dict[str, float] = {}
    for phase, seconds in shares.items():
        groups[group_of(phase)] = groups.get(group_of(phase), 0.0) + seconds
    return groups


def group_of(phase: str) -> str:
    """The group that a phase belongs to."""
    if phase.startswith("load "):
        return "models load"
    if phase.startswith("warm up "):
        return "warm-up"
    if phase in _TASKS:
        return "first answers"
    if phase in _STORE:
        return "files and store"
    return "start of processes" if phase in _START else phase


def remainders(experiment: Experiment, arm: Arm) -> list[Remainder]:
    """The five longest phases of an arm until its first result, the longest first."""
    shares = median_shares(experiment, arm.name)
    whole = sum(shares.values())
    longest = sorted(shares.items(), key=lambda item: -item[1])[:5]
    return [Remainder(phase, seconds, seconds / whole, *_remedy(phase, arm)) for phase, seconds in longest]


def _remedy(phase: str, arm: Arm) -> tuple[str, str]:
    """The option that would reduce ``phase``, and why; what the arm does already is not advised."""
    group, options = group_of(phase), arm.options
    compiled = arm.kind is not ArmKind.EAGER and "torch" not in options
    choices = (
        (group in ("imports", "models load") and not compiled, _COMPILED),
        (group == "models load" and "parallel" not in options, ("--load parallel", "models load at the same time")),
        (group == "warm-up", ("--load lazy", "no inference runs before the first image")),
        (group == "first answers" and compiled and "fast" not in options, _FAST),
        (phase == "text", ("--ocr canvas_size", "text detection takes time in proportion to the pixels of its canvas")),
        (group == "first answers", ("--threads", "as many as cores; --max-new-tokens limits the length of a caption")),
        (group == "files and store", ("--cache-dir", "a faster disk; unchanged files are not read again")),
        (group == "decode", ("", "decoding runs beside inference from the second image on")),
    )
    return next((remedy for applies, remedy in choices if applies), _SHARED)


def targets(experiment: Experiment, arm: str) -> list[TargetCheck]:
    """The targets of the project, for ``arm`` against the reference. A ratio meets its target if its whole confidence
    interval does."""
    findings, checks = Findings(experiment), []
    for text, metric, limit in (
        ("startup at least 30 % shorter", Metric.STARTUP, 1 - _FASTER_BY),
        ("peak memory at most 20 % larger", Metric.PEAK_RSS, _MORE_MEMORY),
    ):
        row = findings.row(arm, metric)
        versus = row.versus if row else None
        if versus is None or versus.ratio is None or versus.high is None:
            checks.append(TargetCheck(text, "", None))
        else:
            measured = f"{(versus.ratio - 1) * 100:+.0f} % ({metric_name(metric)})"
            checks.append(TargetCheck(text, measured, versus.high <= limit))
    first = findings.row(arm, Metric.FIRST_RESULT, PageCache.WARM)
    if first is None:
        checks.append(TargetCheck("first result within 5 s", "", None))
    else:
        median = first.summary.median
        measured = unlike_text(Metric.FIRST_RESULT, median, _FIRST_RESULT_SECONDS)
        checks.append(TargetCheck("first result within 5 s", measured, median <= _FIRST_RESULT_SECONDS))
    return checks
