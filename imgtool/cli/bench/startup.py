"""One ``imgtool bench startup``: which arms, the experiment, the gate, the outputs, the exit code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from imgtool.bench.arms.commands import CommandRequest, sort_words
from imgtool.bench.arms.contenders import Stage
from imgtool.bench.arms.definitions import BUILT_IN
from imgtool.bench.arms.selection import ArmRequest, images_for, make_models, select
from imgtool.bench.data.record import Experiment, ExperimentSettings, PageCache
from imgtool.bench.data.saved import load_experiment, save_experiment
from imgtool.bench.gate.baseline import against
from imgtool.bench.gate.checks import judge
from imgtool.bench.gate.judgement import Judgement, confirm, failed_comparison, needs_confirmation, unconfirmed
from imgtool.bench.gate.self_test import doubled
from imgtool.bench.measure.experiment import Design, ExperimentStopped, planned, run_experiment
from imgtool.bench.report.findings import interruption
from imgtool.cli.analyze.parser import engine_options
from imgtool.cli.bench.common import made_ready
from imgtool.cli.bench.options import BenchOptions
from imgtool.cli.bench.outputs import check_outputs, replacing_nothing, write_outputs
from imgtool.cli.bench.progress import BenchProgress
from imgtool.cli.boundary import verdict
from imgtool.cli.console import Messages
from imgtool.cli.log_format import is_json
from imgtool.errors import ExitCode, UsageProblem
from imgtool.files import scratch_folder
from imgtool.formats.clean import printable
from imgtool.ground.cores import granted_cores

_TAIL_LINES = 12
_STILL_COLD = 0.1
"""Share of the models in memory up to which a run counts as one from the disk."""


class StartupBench:
    """A resolved command, ready to run."""

    def __init__(self, options: BenchOptions, *, quiet: bool = False) -> None:
        self._options = options
        self._messages = Messages(quiet=quiet)
        self._images, plain = sort_words(options.paths)
        hooks = (options.setup, options.prepare, options.cleanup)
        commands = CommandRequest(options.command, plain, options.parameter, *hooks, shell=options.shell)
        self._request = ArmRequest(options.arms, options.arm, commands, options.weights)

    def run(self) -> ExitCode:
        """Measure, judge, print, write.

        Raises:
            imgtool.errors.ImgtoolError: nothing can be measured, the baseline cannot be compared with, or a file
                cannot be written.
        """
        options = self._options
        check_outputs(options)
        with scratch_folder("bench") as scratch:
            baseline = self._baseline()
            design = self._design(scratch)
            if baseline is not None or options.budgets.relative:
                # What cannot be compared is refused now, not after the last sample.
                against(planned(design), baseline, across_machines=options.across_machines)
            try:
                experiment = self._measured(design)
            except ExperimentStopped as stopped:
                self._keep(stopped.experiment)
                raise stopped.reason from None
            if all(sample.error is not None for sample in experiment.samples):
                options = self._options = replacing_nothing(options, self._messages)
            if options.save is not None:
                save_experiment(options.save, experiment)
            judgement = self._judged(design, experiment, baseline)
        code = self._exit_code(experiment, judgement)
        with verdict(code):
            write_outputs(experiment, judgement, options, self._messages)
        return code

    def _keep(self, experiment: Experiment) -> None:
        """Save and report what was measured before an experiment was stopped."""
        if not any(sample.error is None and sample.run >= 0 for sample in experiment.samples):
            return
        if self._options.save is not None:
            save_experiment(self._options.save, experiment)
        write_outputs(experiment, None, self._options, self._messages)
        saved = f" in {self._options.save}" if self._options.save is not None else ""
        self._messages.notice(f"{interruption(experiment)}; they are kept{saved}, and no budget was checked")

    def _baseline(self) -> Experiment | str | None:
        """What the run is compared with, read before anything is measured: a saved experiment, or the name of an
        arm."""
        text = self._options.baseline
        typed = {arm.name for arm in self._request.arms()}
        if text is None or text in (typed or {arm.name for arm in BUILT_IN}):
            return text
        return load_experiment(Path(text).expanduser())

    def _design(self, scratch: Path) -> Design:
        options, requested = self._options, self._request
        pairs = (("--tasks", options.tasks), ("--languages", options.languages), ("--scale", options.scale))
        common = tuple(word for flag, value in pairs if value is not None for word in (flag, value))
        arms = requested.arms()
        analyzing = not arms or any(not arm.command for arm in arms)
        if self._images and not analyzing:
            raise UsageProblem(
                f"{self._images[0]} is an image, and no arm analyzes images", "leave it out, or name it in the command"
            )
        images = images_for(self._images, scratch / "images", options.steady) if analyzing else ()
        selection = select(requested, Stage(images, common, engine_options), self._make_synthetic)
        for name, problem in selection.missing.items():
            self._messages.notice(f"arm {name} is left out: {problem}")
        stage = selection.stage
        contenders = tuple(
            made_ready(each, stage.common, scratch, options.timeout, self._messages.faint)
            for each in selection.contenders
        )
        if PageCache.COLD in options.page_cache:
            for name in (each.arm.name for each in contenders if not each.files):
                self._messages.notice(f"arm {name} has no known model files: its cold runs are as warm as the others")
        if options.self_test:
            contenders = doubled(contenders)
        names = [contender.arm.name for contender in contenders]
        if options.reference is not None and options.reference not in names:
            raise UsageProblem(f"--reference {options.reference!r} is not an arm", f"one of {', '.join(names)}")
        settings = ExperimentSettings(
            runs=options.runs,
            warm_ups=options.warm_ups,
            steady=max(0, len(images) - 1),
            page_cache=options.page_cache,
            tasks=tuple(options.tasks.split(",")) if images else (),
            images=tuple(f"{Path(path).name}, {Path(path).stat().st_size:,} bytes" for path in images),
            weights=selection.weights,
            ignored_codes=options.ignore_failure,
        )
        return Design(
            contenders=contenders,
            settings=settings,
            reference=options.reference or names[0],
            timeout=options.timeout,
            threads=(stage.parse(stage.common).threads if images else None) or granted_cores(),
        )

    def _make_synthetic(self, stage: Stage) -> None:
        self._messages.plain("making synthetic models (once; minutes at full size)")
        make_models(stage.parse(stage.common), log_json=is_json())

    def _measured(self, design: Design) -> Experiment:
        with BenchProgress(quiet=self._messages.quiet) as progress:
            experiment = run_experiment(design, progress)
        cold = [s.resident_share or 0.0 for s in experiment.samples if s.page_cache is PageCache.COLD]
        if cold and max(cold) > _STILL_COLD:
            self._messages.notice(
                f"up to {max(cold):.0%} of the models' bytes stayed in memory in cold runs: end programs that map them"
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
            return confirm(first, self._confirmation(design, first, baseline))
        except BaseException:
            # Ctrl-C, or nothing more can be started: what was measured took long and is not lost.
            write_outputs(experiment, unconfirmed(first), options, self._messages)
            raise

    def _confirmation(self, design: Design, first: Judgement, baseline: Experiment | str | None) -> Judgement:
        """Judge a second experiment on the arms that failed in ``first``, by the budgets that they exceeded."""
        arms, budgets = needs_confirmation(first), self._options.budgets
        self._messages.notice(f"{', '.join(arms)}: over budget; measured once more before that counts")
        names = set(arms)
        if failed_comparison(first):
            names |= {design.reference, *([baseline] if isinstance(baseline, str) else [])}
        else:
            # They exceeded limits only, and may have nothing among them to compare them with.
            baseline, budgets = None, budgets.without_comparisons()
        again = replace(design, contenders=tuple(one for one in design.contenders if one.arm.name in names))
        try:
            second = self._measured(again)
        except ExperimentStopped as stopped:
            raise stopped.reason from None
        return judge(second, baseline, budgets, across_machines=self._options.across_machines)

    def _exit_code(self, experiment: Experiment, judgement: Judgement | None) -> ExitCode:
        failed = {sample.arm: sample for sample in experiment.samples if sample.error is not None}
        for name, sample in failed.items():
            remedy = f"--ignore-failure {sample.exit_code} counts such runs" if (sample.exit_code or 0) > 0 else ""
            self._messages.error(f"arm {name} failed: {sample.error}", remedy, code="arm_failed")
            for line in sample.stderr_tail.strip().splitlines()[-_TAIL_LINES:]:
                self._messages.plain(f"    {printable(line)}")
        if len(failed) == len(experiment.arms):
            return ExitCode.NONE_ANSWERED
        if judgement is not None and judgement.exit_code is not ExitCode.OK:
            return judgement.exit_code
        return ExitCode.SOME_FAILED if failed else ExitCode.OK
