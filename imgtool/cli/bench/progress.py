"""How far an experiment is, and notices about the machine."""

from __future__ import annotations

from imgtool.bench.data.record import RunSample
from imgtool.bench.measure.experiment import ExperimentObserver
from imgtool.cli.console import Messages
from imgtool.cli.progress import ProgressLine, duration


class BenchProgress(ExperimentObserver):
    """Prints each sample as it begins, and notices about the machine."""

    def __init__(self, *, quiet: bool) -> None:
        self._messages = Messages(quiet=quiet)
        self._line = ProgressLine(shown=not quiet, at_once=True)

    def begins(self, arm: str, run: int, done: int, total: int) -> None:
        parts = [f"{done + 1} of {total}", f"{arm} warm-up" if run < 0 else f"{arm} run {run + 1}"]
        if done:
            parts.append(f"about {duration(self._line.seconds / done * (total - done))} left")
        self._line.show(" · ".join(parts), arm=arm, run=run, done=done, total=total)

    def ended(self, sample: RunSample) -> None:
        if sample.error is not None:
            self.notice(f"{sample.arm} {sample.error}; it is not run again")

    def notice(self, text: str) -> None:
        self.clear()
        self._messages.notice(text)

    def clear(self) -> None:
        """Take the line off the screen."""
        self._line.clear()

    def __enter__(self) -> BenchProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
