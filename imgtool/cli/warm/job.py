"""One warming of the command line: bake, show the steps, then answer the images that were named."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from imgtool.cli.console import Messages
from imgtool.cli.warm.progress import WarmProgress
from imgtool.cli.warm.view import print_json, print_steps, steps_object
from imgtool.errors import ExitCode
from imgtool.warming.bake import BakeOptions, Step, StepResult, WarmStepBegan, WarmStepEnded, bake, exit_code
from imgtool.warming.unit_compiler import UnitCompiler
from imgtool.warming.unit_loader import UnitLoader

if TYPE_CHECKING:
    from imgtool.cli.warm.request import Request
    from imgtool.config import Resolved
    from imgtool.engine.statistics import Statistics
    from imgtool.warming.units import Unit
    from imgtool.weights.store import ModelStore


class WarmJob:
    """A resolved ``imgtool warm-cache``, ready to run."""

    def __init__(self, request: Request, resolved: Resolved, store: ModelStore) -> None:
        self._request = request
        self._options = resolved.engine
        self._store = store
        self._quiet = resolved.output.quiet
        self._messages = Messages(quiet=resolved.output.quiet)

    def run(self, units: Sequence[Unit]) -> ExitCode:
        """Do it; returns the exit code that the steps deserve.

        Raises:
            imgtool.errors.ImgtoolError: the images cannot be analyzed at all.
        """
        started = time.perf_counter()
        steps = self._bake(units)
        code = exit_code(steps)
        figures = None
        self._warn_of_unfound(units, code)
        if self._request.analyze and code is ExitCode.OK:
            figures, code = self._analyze()
        self._show(steps, code, figures, time.perf_counter() - started)
        return code

    def _bake(self, units: Sequence[Unit]) -> list[WarmStepEnded]:
        progress = WarmProgress(self._messages, shown=not self._quiet)
        options = BakeOptions(self._request.fetching(), self._request.load, self._request.anew)
        compiler = UnitCompiler(self._options, self._request.calibrate) if self._request.compile else None
        steps: list[WarmStepEnded] = []
        try:
            for event in bake(units, self._store, options, UnitLoader(self._options), progress, compiler):
                if isinstance(event, WarmStepBegan):
                    progress.line(f"{event.model}: {event.step.value}")
                else:
                    steps.append(event)
        finally:
            progress.clear()
        return steps

    def _warn_of_unfound(self, units: Sequence[Unit], code: ExitCode) -> None:
        loader = UnitLoader(self._options)
        for unit in units if code is ExitCode.OK else ():
            if (problem := loader.unfound(unit, self._store)) is not None:
                self._messages.notice(f"{problem.message}; {problem.remedy}")

    def _analyze(self) -> tuple[Statistics, ExitCode]:
        from imgtool.cli.analyze.job import exit_code as code_of
        from imgtool.cli.progress import Progress
        from imgtool.engine.engine import Engine
        from imgtool.engine.observer import Observer

        class Watcher(Observer):
            def notice(_, text: str) -> None:  # noqa: N805 - the job is `self` here
                self._messages.notice(text)

        progress = Progress(shown=not self._quiet, expected=lambda: None)
        with Engine(self._options, observer=Watcher()) as engine:
            for _ in engine.analyze(self._request.analyze):
                if progress.due():
                    progress.update(engine.statistics)
            progress.clear()
            figures = engine.statistics
            if not figures.images:
                self._messages.notice("no image was found under what --analyze names")
                return figures, ExitCode.NONE_ANSWERED
            return figures, code_of(figures, engine.model_problems)

    def _show(self, steps: list[WarmStepEnded], code: ExitCode, figures: Statistics | None, seconds: float) -> None:
        if self._request.json:
            analyzed: Any = msgspec.to_builtins(figures) if figures is not None else None
            verdict = {"ok": not code, "exit_code": int(code), "seconds": seconds}
            print_json({**verdict, "steps": steps_object(steps), "analyzed": analyzed})
            return
        if steps and not _nothing_done(steps):
            print_steps(steps)
        self._conclude(steps, seconds)
        if figures is not None:
            from imgtool.cli.analyze.summary import print_summary

            print_summary(self._messages, figures, None)
        elif self._request.analyze:
            self._messages.notice("the images were left alone: answers are worth keeping once every model is ready")

    def _conclude(self, steps: Sequence[WarmStepEnded], seconds: float) -> None:
        if not steps:
            self._messages.plain("nothing to do: the engines that are configured need no fetched model")
        elif _nothing_done(steps):
            verified = [step.model for step in steps if step.step is Step.VERIFY]
            models = ", ".join(verified or dict.fromkeys(step.model for step in steps))
            self._messages.plain(f"nothing to do: {models} ready ({seconds:.2f} s, no connection was opened)")
        for step in steps:
            if step.result is StepResult.FAILED:
                self._messages.error(f"{step.model}: {step.step.value}: {step.detail}", step.remedy)
        for model, (skipped, why) in _skipped(steps).items():
            self._messages.notice(f"{model} was not {skipped}: {why}")


def _nothing_done(steps: Sequence[WarmStepEnded]) -> bool:
    """Whether all had been done before. A look at the store is no change."""
    idle = (StepResult.UNCHANGED, StepResult.SKIPPED)
    return all(step.result in idle or (step.step is Step.VERIFY and step.result is StepResult.DONE) for step in steps)


def _skipped(steps: Sequence[WarmStepEnded]) -> dict[str, tuple[str, str]]:
    """What was left out and could be done, by model, with the reason and the remedy; of two steps the later one."""
    words = {Step.COMPILE: "compiled", Step.LOAD: "loaded"}
    left_out = [step for step in steps if step.result is StepResult.SKIPPED and step.remedy]
    return {step.model: (words[step.step], f"{step.detail}; {step.remedy}") for step in left_out}
