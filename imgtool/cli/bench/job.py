"""One ``imgtool bench startup``: what is compared, the experiment, what it says, the files, the exit code."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from imgtool.bench.arms.arms import BUILT_IN
from imgtool.bench.arms.runnable import Stage
from imgtool.bench.arms.selection import Chosen, Wanted, choose, images_for
from imgtool.bench.data.record import Experiment, PageCache, Settings
from imgtool.bench.data.saved import save_experiment
from imgtool.bench.gate.gate import (
    Judgement,
    against,
    confirm,
    failed_comparison,
    judge,
    load_experiment,
    needs_confirmation,
    unconfirmed,
)
from imgtool.bench.gate.self_test import doubled
from imgtool.bench.measure.experiment import Contender, Design, failed_arms, planned, run_experiment
from imgtool.cli.analyze.parser import engine_options
from imgtool.cli.bench.common import made_ready, teller
from imgtool.cli.bench.options import BenchOptions
from imgtool.cli.bench.progress import Progress
from imgtool.cli.bench.report import check_places, print_outcome, print_self_test, write_reports
from imgtool.cli.console import Messages
from imgtool.errors import ExitCode, UsageProblem


class Job:
    """A resolved command, ready to run."""

    def __init__(self, options: BenchOptions, *, quiet: bool = False) -> None:
        self._options = options
        self._quiet = quiet
        self._messages = Messages(quiet=quiet)

    def run(self) -> ExitCode:
        """Measure, judge, say, write.

        Raises:
            imgtool.errors.ImgtoolError: nothing can be measured, the baseline cannot be compared with, or a file
                cannot be written.
        """
        options = self._options
        check_places(options)
        with tempfile.TemporaryDirectory(prefix="imgtool-bench-", ignore_cleanup_errors=True) as scratch:
            baseline = self._baseline()
            design = self._design(Path(scratch))
            if baseline is not None or options.budgets.relative:
                # What cannot be compared is refused now, not after the last sample.
                against(planned(design), baseline, across_machines=options.across_machines)
            experiment = self._measured(design)
            if options.save is not None:
                save_experiment(options.save, experiment)
            judgement = self._judged(design, experiment, baseline)
        self._report(experiment, judgement)
        return self._exit_code(experiment, judgement)

    # -- before

    def _baseline(self) -> Experiment | str | None:
        """Read now what the run is compared with: that it cannot be used is better known before than after."""
        text = self._options.baseline
        typed = (
            *self._options.arms,
            *(each.partition("=")[0] for each in (*self._options.arm, *self._options.command)),
        )
        named = set(typed) or {arm.name for arm in BUILT_IN}
        if text is None or text in named:
            return text
        return load_experiment(Path(text).expanduser())

    def _design(self, scratch: Path) -> Design:
        options = self._options
        wanted = Wanted(options.arms, options.arm, options.command, options.weights)
        stage = Stage((), self._common(), engine_options)
        if any(arm for arm in wanted.arms() if not arm.command) or not wanted.arms():
            images = images_for(options.paths, scratch / "images", options.steady)
            stage = replace(stage, images=images)
        chosen = choose(wanted, stage, self._make_synthetic)
        for name, problem in chosen.missing.items():
            self._messages.notice(f"arm {name} is left out: {problem}")
        contenders = tuple(
            made_ready(each, chosen.stage.common, scratch, options.timeout, teller(self._quiet))
            for each in chosen.contenders
        )
        if PageCache.COLD in options.page_cache:
            for name in (each.arm.name for each in contenders if not each.files):
                self._messages.notice(f"arm {name} has no model files that are known here: cold is as warm for it")
        if options.self_test:
            contenders = doubled(contenders)
        return Design(
            contenders=contenders,
            settings=self._settings(chosen),
            reference=self._reference(contenders),
            timeout=options.timeout,
            threads=_threads(chosen),
        )

    def _common(self) -> tuple[str, ...]:
        options = self._options
        pairs = (("--tasks", options.tasks), ("--languages", options.languages), ("--scale", options.scale))
        return tuple(word for flag, value in pairs if value is not None for word in (flag, value))

    def _make_synthetic(self, stage: Stage) -> None:
        from imgtool.bench.arms.synthetic import make_models

        self._messages.plain("making synthetic models (once; minutes at full size)")
        make_models(stage.parse(stage.common))

    def _settings(self, chosen: Chosen) -> Settings:
        options = self._options
        return Settings(
            runs=options.runs,
            warm_ups=options.warm_ups,
            steady=max(0, len(chosen.stage.images) - 1),
            page_cache=options.page_cache,
            tasks=tuple(options.tasks.split(",")) if chosen.stage.images else (),
            images=tuple(map(_described, chosen.stage.images)),
            weights=chosen.weights,
        )

    def _reference(self, contenders: tuple[Contender, ...]) -> str:
        names = [contender.arm.name for contender in contenders]
        wanted = self._options.reference
        if wanted is not None and wanted not in names:
            raise UsageProblem(f"--reference {wanted!r} is no arm of this run", f"one of {', '.join(names)}")
        return wanted or names[0]

    # -- the run

    def _measured(self, design: Design) -> Experiment:
        with Progress(quiet=self._quiet) as progress:
            experiment = run_experiment(design, progress)
        cold = [s.resident_share or 0.0 for s in experiment.samples if s.page_cache is PageCache.COLD]
        if cold and max(cold) > _STILL_COLD:
            self._messages.notice(
                f"up to {max(cold):.0%} of the models' bytes stayed in memory in cold runs: end what has them mapped"
            )
        return experiment

    def _judged(self, design: Design, experiment: Experiment, baseline: Experiment | str | None) -> Judgement | None:
        options = self._options
        if not options.budgets and baseline is None:
            return None
        first = judge(experiment, baseline, options.budgets, across_machines=options.across_machines)
        if not options.confirm or not needs_confirmation(first):
            return first
        try:
            return confirm(first, self._second(design, first, baseline))
        except BaseException:
            # Ctrl-C, or nothing more can be started: what was measured took long and is not lost.
            self._report(experiment, unconfirmed(first))
            raise

    def _second(self, design: Design, first: Judgement, baseline: Experiment | str | None) -> Judgement:
        """Another experiment, on the arms that failed ``first``, and what they failed by."""
        arms, budgets = needs_confirmation(first), self._options.budgets
        self._messages.notice(f"{', '.join(arms)}: beyond a budget; measured once more before that counts")
        kept = set(arms)
        if failed_comparison(first):
            kept |= {design.reference, *([baseline] if isinstance(baseline, str) else [])}
        else:
            # They broke limits alone, and may have nothing among them to compare them with.
            baseline, budgets = None, budgets.without_comparisons()
        again = replace(design, contenders=tuple(one for one in design.contenders if one.arm.name in kept))
        return judge(self._measured(again), baseline, budgets, across_machines=self._options.across_machines)

    # -- after

    def _report(self, experiment: Experiment, judgement: Judgement | None) -> None:
        options = self._options
        if Path("-") not in (options.json, options.csv, options.markdown):
            print_outcome(experiment, judgement)
            if options.self_test:
                print_self_test(experiment)
        write_reports(experiment, judgement, options, self._messages)

    def _exit_code(self, experiment: Experiment, judgement: Judgement | None) -> ExitCode:
        failed = failed_arms(experiment)
        for name, sample in failed.items():
            self._messages.error(f"arm {name} failed: {sample.error}")
            if sample.stderr_tail.strip():
                self._messages.plain(_indented(sample.stderr_tail))
        if len(failed) == len(experiment.arms):
            return ExitCode.NONE_ANSWERED
        if judgement is not None and judgement.exit_code is not ExitCode.OK:
            return judgement.exit_code
        return ExitCode.SOME_FAILED if failed else ExitCode.OK


_TAIL_LINES = 12
_STILL_COLD = 0.1
"""Share of the models in memory up to which a run counts as one from the disk."""


def _indented(text: str) -> str:
    from imgtool.formats.clean import printable

    return "\n".join(f"    {printable(line)}" for line in text.strip().splitlines()[-_TAIL_LINES:])


def _described(path: str) -> str:
    return f"{Path(path).name}, {Path(path).stat().st_size:,} bytes"


def _threads(chosen: Chosen) -> int:
    from imgtool.ground.cores import granted_cores

    if not chosen.stage.images:
        return granted_cores()
    return chosen.stage.parse(chosen.stage.common).threads or granted_cores()
