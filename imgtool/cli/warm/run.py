"""One run of ``imgtool warm-cache``: bake, show the steps, then answer the images that were named."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from imgtool.cli.boundary import verdict
from imgtool.cli.console import Messages
from imgtool.cli.progress import ProgressLine, progress_fields, progress_text
from imgtool.cli.warm.progress import FetchProgress
from imgtool.cli.warm.steps import print_report, print_steps, steps_object
from imgtool.errors import ExitCode
from imgtool.warming.bake import BakeOptions, Step, StepResult, WarmStepBegan, WarmStepEnded, bake, exit_code
from imgtool.warming.unit_compiler import UnitCompiler
from imgtool.warming.unit_loader import UnitLoader

if TYPE_CHECKING:
    from imgtool.cli.warm.request import WarmRequest
    from imgtool.config import Resolved
    from imgtool.engine.statistics import Statistics
    from imgtool.warming.units import Unit
    from imgtool.weights.store import ModelStore


class WarmRun:
    """A resolved ``imgtool warm-cache``, ready to run."""

    def __init__(self, request: WarmRequest, resolved: Resolved, store: ModelStore) -> None:
        self._request = request
        self._options = resolved.engine
        self._store = store
        self._messages = Messages(quiet=resolved.output.quiet)
        self._line = ProgressLine(shown=not resolved.output.quiet)

    def run(self, units: Sequence[Unit]) -> ExitCode:
        """Do it; returns the exit code that the steps deserve.

        Raises:
            imgtool.errors.ImgtoolError: the images cannot be analyzed at all.
        """
        started = time.perf_counter()
        steps = self._bake(units)
        code = exit_code(steps)
        figures = None
        if code is ExitCode.OK:
            loader = UnitLoader(self._options)
            for problem in filter(None, (loader.unfound(unit, self._store) for unit in units)):
                self._messages.notice(f"{problem.message}; {problem.remedy}")
            if self._request.analyze:
                figures, code = self._analyze()
        seconds = time.perf_counter() - started
        if self._request.json:
            analyzed: Any = msgspec.to_builtins(figures) if figures is not None else None
            with verdict(code):
                print_report(code, seconds=seconds, steps=steps_object(steps), analyzed=analyzed)
        else:
            self._show(steps, code, figures, seconds)
        return code

    def _bake(self, units: Sequence[Unit]) -> list[WarmStepEnded]:
        progress = FetchProgress(self._messages, self._line)
        options = BakeOptions(self._request.fetching(), self._request.load, self._request.anew)
        compiler = UnitCompiler(self._options, self._request.calibrate) if self._request.compile else None
        steps: list[WarmStepEnded] = []
        try:
            for event in bake(units, self._store, options, UnitLoader(self._options), progress, compiler):
                if isinstance(event, WarmStepBegan):
                    self._line.show(f"{event.model}: {event.step.value}", model=event.model, step=event.step.value)
                else:
                    steps.append(event)
        finally:
            self._line.clear()
        return steps

    def _analyze(self) -> tuple[Statistics, ExitCode]:
        from imgtool.cli.analyze.run import Watcher
        from imgtool.cli.analyze.run import exit_code as code_of
        from imgtool.engine.engine import Engine

        line = ProgressLine(shown=not self._messages.quiet)
        with Engine(self._options, observer=Watcher(self._messages, line)) as engine:
            for _ in engine.analyze(self._request.analyze):
                if line.due():
                    line.show(
                        progress_text(engine.statistics, None, line.seconds), **progress_fields(engine.statistics)
                    )
            line.clear()
            figures = engine.statistics
            if not figures.images:
                self._messages.notice("no image was found under what --analyze names")
                return figures, ExitCode.NONE_ANSWERED
            return figures, code_of(figures, engine.model_problems)

    def _show(self, steps: Sequence[WarmStepEnded], code: ExitCode, figures: Statistics | None, seconds: float) -> None:
        if not steps:
            self._messages.plain("nothing to do: the engines that are configured need no model to be fetched")
        elif _nothing_done(steps):
            verified = [step.model for step in steps if step.step is Step.VERIFY]
            models = ", ".join(verified or dict.fromkeys(step.model for step in steps))
            self._messages.plain(f"nothing to do: {models} ready ({seconds:.2f} s, no connection was opened)")
        else:
            with verdict(code):
                print_steps(steps)
        for step in steps:
            if step.result is StepResult.FAILED:
                told = f"{step.model}: {step.step.value}: {step.detail}"
                self._messages.error(told, step.remedy, code=f"{step.step.value}_failed", exit_code=code)
        # Of two steps of a model that were left out the later one says why.
        words = {Step.COMPILE: "compiled", Step.LOAD: "loaded"}
        skipped = {step.model: step for step in steps if step.result is StepResult.SKIPPED and step.remedy}
        for model, step in skipped.items():
            self._messages.notice(f"{model} was not {words[step.step]}: {step.detail}; {step.remedy}")
        if figures is not None:
            from imgtool.cli.analyze.summary import print_summary

            print_summary(self._messages, figures, ())
        elif self._request.analyze:
            self._messages.notice("the images were not analyzed, because not every model is ready")


def _nothing_done(steps: Sequence[WarmStepEnded]) -> bool:
    """Whether all had been done before. A look at the store is no change."""
    idle = (StepResult.UNCHANGED, StepResult.SKIPPED)
    return all(step.result in idle or (step.step is Step.VERIFY and step.result is StepResult.DONE) for step in steps)
