"""What the command line of ``warm-cache`` asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgtool.options import EngineOptions
    from imgtool.weights.fetching.fetch_job import FetchOptions


@dataclass(frozen=True)
class Request:
    """What the command line asks for. ``max_size`` is in bytes."""

    names: tuple[str, ...]
    analyze: tuple[str, ...]
    load: bool
    compile: bool
    anew: bool
    calibrate: Path | None
    check: bool
    full: bool
    dry_run: bool
    source: Path | None
    offline: bool
    refresh: bool
    prune: bool
    max_size: int | None
    json: bool

    def require_sense(self) -> None:
        """
        Raises:
            imgtool.errors.UsageProblem: options that exclude each other.
        """
        from imgtool.errors import UsageProblem

        looking = self.check or self.dry_run or self.prune
        for wrong, text, remedy in (
            (self.check and (self.dry_run or self.prune), "--check changes nothing and plans nothing", "use it alone"),
            (looking and bool(self.analyze), "--analyze needs models that are ready", "give it in a run of its own"),
            (self.max_size is not None and not self.prune, "--max-size says how far to prune", "add --prune"),
            (self.prune and bool(self.names), "--prune looks at all models", "leave the names out"),
            (self.anew and not self.compile, "--compile compiles, and another option leaves it out", "choose one"),
            (self.anew and looking, "--compile changes what is here, and another option only looks", "choose one"),
            (self.calibrate is not None and not self.compile, "--calibrate is for compiling", "let it compile"),
            (self.calibrate is not None and looking, "--calibrate changes what is here", "leave one of the two out"),
            (self.refresh and self.offline, "--refresh asks the hub, and --offline forbids that", "choose one"),
        ):
            if wrong:
                raise UsageProblem(text, remedy)

    def require_options(self, options: EngineOptions) -> None:
        """
        Raises:
            imgtool.errors.UsageProblem: synthetic weights, which are made here, are to come from somewhere; or pictures
                are named that only a lossy twin is adjusted to, and none is asked for.
            imgtool.errors.PathMissing: the folder of these pictures is not there.
        """
        from imgtool.errors import PathMissing, UsageProblem
        from imgtool.options import Precision, Weights

        if options.weights is Weights.SYNTHETIC and self.source is not None:
            raise UsageProblem("synthetic weights are made on this machine, and --from asks for others", "leave it out")
        if self.calibrate is not None and options.precision is not Precision.FAST:
            raise UsageProblem("--calibrate adjusts what computes fast", "add --precision fast")
        if self.calibrate is not None and not self.calibrate.is_dir():
            raise PathMissing(f"--calibrate: {self.calibrate} is not a folder", "name a folder of pictures")

    def fetching(self) -> FetchOptions:
        """How to fetch."""
        from imgtool.weights.fetching.fetch_job import FetchOptions

        return FetchOptions(offline=self.offline, source=self.source, full=self.full, refresh=self.refresh)
