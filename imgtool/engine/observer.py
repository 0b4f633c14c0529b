"""What the engine tells whoever watches. The default watches nothing; the terminal's progress lives in ``cli``."""

from __future__ import annotations

from imgtool.runtime.protocol import ModelLoaded


class Observer:
    """Override what you want to hear. Called in the thread that iterates over the results of an analysis; where nobody
    does, in a thread of the engine."""

    wants_total = False
    """Whether files shall be listed ahead, so that ``found`` tells early how many there are."""

    def notice(self, text: str) -> None:
        """Something the user should know once, such as a stand-in or a cache that cannot be used."""

    def found(self, images: int, *, complete: bool) -> None:
        """How many files were found up to now; ``complete`` once there are no more to come."""

    def waiting(self) -> None:
        """The next result is not there yet: a moment to show what was buffered. Not called where nobody iterates."""

    def model_loaded(self, loaded: ModelLoaded) -> None:
        """A worker has loaded a model."""
