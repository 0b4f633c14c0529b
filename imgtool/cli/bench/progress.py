"""How far an experiment is, and what is wrong with the machine."""

from __future__ import annotations

from types import TracebackType

from imgtool.bench.data.record import Sample
from imgtool.bench.measure.sample import Case
from imgtool.cli.console import Messages
from imgtool.cli.progress import ProgressLine, duration


class Progress:
    """Tells a person about each sample."""

    def __init__(self, *, quiet: bool) -> None:
        self._messages = Messages(quiet=quiet)
        self._line = ProgressLine(shown=not quiet, at_once=True)

    def begins(self, case: Case, done: int, total: int) -> None:
        """A sample is about to be taken."""
        what = "warm-up" if case.run < 0 else f"run {case.run + 1}"
        parts = [f"{done + 1} of {total}", f"{case.arm.name} {what}"]
        if done:
            parts.append(f"about {duration(self._line.seconds / done * (total - done))} left")
        self._line.show(" · ".join(parts))

    def ended(self, sample: Sample) -> None:
        """It is taken, or failed."""
        if sample.error is not None:
            self.notice(f"{sample.arm} {sample.error}; it is left out from here on")

    def notice(self, text: str) -> None:
        """Something about the machine."""
        self.clear()
        self._messages.notice(text)

    def clear(self) -> None:
        """Take the line off the screen."""
        self._line.clear()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
