"""The checks of an experiment, their outcomes, and how a second experiment confirms them."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from imgtool.bench.data.record import Metric, PageCache
from imgtool.bench.stats.comparison import Comparison
from imgtool.bench.stats.statistics import Interval
from imgtool.errors import ExitCode


class CheckOutcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class Check(Struct, frozen=True, kw_only=True):
    """One check of one arm.

    ``metric`` is ``None`` for the check whether the arm runs at all. A relative check has its ``comparison``, an
    absolute one the median's ``interval``. ``value`` is the arm's median, ``reference`` that of its counterpart;
    ``limit`` a share, or seconds or bytes. ``text`` says all of it in one sentence without the outcome.
    """

    arm: str
    outcome: CheckOutcome
    text: str
    metric: Metric | None = None
    page_cache: PageCache = PageCache.WARM
    value: float | None = None
    reference: float | None = None
    limit: float | None = None
    comparison: Comparison | None = None
    interval: Interval | None = None

    @property
    def question(self) -> tuple[str, Metric | None, PageCache, bool]:
        """Identifies the check within a judgement."""
        return self.arm, self.metric, self.page_cache, self.comparison is not None


class Judgement(Struct, frozen=True, kw_only=True):
    """All checks of an experiment; ``notices`` say what was not compared, and why."""

    checks: tuple[Check, ...]
    notices: tuple[str, ...] = ()

    @property
    def outcome(self) -> CheckOutcome:
        """The worst of the checks: failed, then inconclusive, then passed."""
        found = {check.outcome for check in self.checks}
        return next(
            (worst for worst in (CheckOutcome.FAILED, CheckOutcome.INCONCLUSIVE) if worst in found), CheckOutcome.PASSED
        )

    @property
    def exit_code(self) -> ExitCode:
        """0, 7 or 8."""
        codes = {CheckOutcome.FAILED: ExitCode.REGRESSION, CheckOutcome.INCONCLUSIVE: ExitCode.INCONCLUSIVE}
        return codes.get(self.outcome, ExitCode.OK)

    @property
    def verdict(self) -> str:
        """The outcome in words."""
        if not self.checks:
            return "no budget is set: nothing was checked"
        counted = ", ".join(
            f"{number} {outcome.value}"
            for outcome in CheckOutcome
            if (number := sum(check.outcome is outcome for check in self.checks))
        )
        return f"{self.outcome.value}: {counted}"


def needs_confirmation(judgement: Judgement) -> tuple[str, ...]:
    """The arms whose figures failed: they are measured once more before that counts. A crash needs no second
    measurement."""
    failed = (check for check in judgement.checks if check.outcome is CheckOutcome.FAILED and check.metric is not None)
    return tuple(dict.fromkeys(check.arm for check in failed))


def failed_comparison(judgement: Judgement) -> bool:
    """Whether a relative check failed, not only absolute ones."""
    return any(check.outcome is CheckOutcome.FAILED and check.comparison is not None for check in judgement.checks)


def confirm(first: Judgement, second: Judgement) -> Judgement:
    """``first`` and a second experiment on its failed arms: a check of figures fails if it failed both times, and
    passes if it passed once; a crash in either counts. Checks that were not repeated stay as they were. Notices are
    those of the first: the second lacks arms on purpose."""
    repeated = {check.question: check for check in second.checks}
    merged = [_merged(check, repeated.pop(check.question, None)) for check in first.checks]
    crashed = [check for check in repeated.values() if check.metric is None]
    return Judgement(checks=(*merged, *crashed), notices=first.notices)


def unconfirmed(first: Judgement) -> Judgement:
    """``first`` if the second experiment did not finish: failures of figures are inconclusive."""
    if not needs_confirmation(first):
        return first
    checks = tuple(
        replace(check, outcome=CheckOutcome.INCONCLUSIVE, text=f"{check.text}; not confirmed")
        if check.outcome is CheckOutcome.FAILED and check.metric is not None
        else check
        for check in first.checks
    )
    return Judgement(checks=checks, notices=(*first.notices, _UNFINISHED))


_UNFINISHED = "the second measurement did not finish: what failed in the first is not confirmed"


def _merged(first: Check, second: Check | None) -> Check:
    if second is None or first.metric is None or first.outcome is CheckOutcome.PASSED:
        return first
    if first.outcome is CheckOutcome.FAILED and second.outcome is CheckOutcome.FAILED:
        return replace(second, text=f"{second.text} (measured once more; at first {first.text})")
    outcome = CheckOutcome.PASSED if second.outcome is CheckOutcome.PASSED else CheckOutcome.INCONCLUSIVE
    return replace(second, outcome=outcome, text=f"{second.text} (the run before: {first.outcome.value})")
