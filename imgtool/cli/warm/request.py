"""What the command line of ``warm-cache`` asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgtool.options import Weights
    from imgtool.weights.fetching.fetch_job import FetchOptions

_NOT_WITH = "cannot be combined with"
_LOOKING = "--check, --dry-run or --prune"


@dataclass(frozen=True)
class WarmRequest:
    """What the command line asks for beside the options of the engine. ``max_size`` is in bytes."""

    names: tuple[str, ...]
    analyze: tuple[str, ...]
    load: bool
    compile: bool
    anew: bool
    check: bool
    full: bool
    dry_run: bool
    source: Path | None
    offline: bool
    refresh: bool
    prune: bool
    max_size: int | None
    json: bool

    def require_sense(self, weights: Weights) -> None:
        """
        Raises:
            imgtool.errors.UsageProblem: two options exclude each other, or one of them excludes these ``weights``.
        """
        from imgtool.errors import UsageProblem
        from imgtool.options import Weights

        looking = self.check or self.dry_run or self.prune
        for wrong, text, remedy in (
            (self.max_size is not None and not self.prune, "--max-size needs --prune", "add --prune"),
            (self.prune and bool(self.names), "--prune takes no models", "leave their names out"),
            (
                self.check and (self.dry_run or self.prune),
                f"--check {_NOT_WITH} --dry-run or --prune",
                "use one of them",
            ),
            (looking and bool(self.analyze), f"--analyze {_NOT_WITH} {_LOOKING}", "run the command twice"),
            (self.anew and looking, f"--compile {_NOT_WITH} {_LOOKING}", "run the command twice"),
            (self.anew and not self.compile, f"--compile {_NOT_WITH} --no-compile or --no-load", "leave one out"),
            (self.refresh and self.offline, f"--refresh {_NOT_WITH} --offline", "leave one out"),
            (
                weights is Weights.SYNTHETIC and self.source is not None,
                f"--from {_NOT_WITH} --weights synthetic: those are made on this machine",
                "leave --from out",
            ),
        ):
            if wrong:
                raise UsageProblem(text, remedy)

    def fetching(self) -> FetchOptions:
        """How to fetch."""
        from imgtool.weights.fetching.fetch_job import FetchOptions

        return FetchOptions(offline=self.offline, source=self.source, full=self.full, refresh=self.refresh)
