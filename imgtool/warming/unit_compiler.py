"""Compiles the models of a unit with the options of a run, and describes the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imgtool.artefacts.find import ArtefactState, ArtefactStatus, artefacts_root, status
from imgtool.artefacts.manifest import ArtefactManifest
from imgtool.artefacts.requested_model import BLIP, EASYOCR, RequestedModel, requested_blip, requested_easyocr
from imgtool.artefacts.wording import exact_in_words, fast_in_words
from imgtool.compiling.compile import TIMEOUT, CompileOptions, compile_model
from imgtool.errors import ImgtoolError, MissingExtra, ModelMissing, UsageProblem
from imgtool.ground.cores import granted_cores
from imgtool.inference.torch import extra_remedy, missing_modules
from imgtool.options import BackendChoice, EngineOptions, Precision
from imgtool.warming.unit_loader import PACKAGES, asked_for
from imgtool.warming.units import Unit
from imgtool.weights.observer import FetchObserver


@dataclass(frozen=True)
class CompileOutcome:
    """An installed compiled model; ``changed`` is false if it was there before. ``words`` are for the user."""

    changed: bool
    words: str
    seconds: float
    size_bytes: int


@dataclass(frozen=True)
class UnitCompiler:
    """Compiles units into the cache directory of the options.

    ``calibrate`` is a folder of pictures that lossy twins are adjusted to and judged by."""

    options: EngineOptions
    calibrate: Path | None = None

    def unusable(self, unit: Unit, *, anew: bool = False) -> ImgtoolError | None:
        """Why ``unit`` cannot be compiled: a library is not installed, or a run would not use it.

        A complete model needs no library, and its lossy twin only onnx. With ``anew`` everything is made again.
        """
        if self.options.backend is BackendChoice.TORCH:
            return UsageProblem("the options ask for torch", "leave out --backend torch")
        needed: tuple[str, ...] = (*PACKAGES[unit.engine], "onnx")
        try:
            found = self.status(unit)
            if not anew and found.state is ArtefactState.COMPILED and found.artefact is not None:
                is_judged = found.artefact.manifest.judged_fast is not None and self.calibrate is None
                if self.options.precision is not Precision.FAST or is_judged:
                    return None
                needed = ("onnx",)
            if self._requested(unit).folder is None:
                remedy = self._requested(unit).command.remedy
                return ModelMissing("a run with these options would not find its weights", remedy)
        except ImgtoolError as problem:
            return problem
        missing = missing_modules(*needed)
        return MissingExtra(f"{' and '.join(missing)} not installed", extra_remedy()) if missing else None

    def is_damaged(self, unit: Unit) -> bool:
        """Whether a file of the compiled ``unit`` is damaged; reads every byte."""
        states = (ArtefactState.MISSING_FILE, ArtefactState.CHANGED_FILE, ArtefactState.UNREADABLE)
        return self.status(unit, full=True).state in states

    def status(self, unit: Unit, *, full: bool = False) -> ArtefactStatus:
        """The state of the compiled ``unit`` here."""
        return status(artefacts_root(self.options), self._requested(unit), full=full)

    def compile(self, unit: Unit, observer: FetchObserver, *, anew: bool = False) -> CompileOutcome:
        """Compile ``unit``, with the lossy twin if the options ask for it, unless that was done; with ``anew`` always.

        Raises:
            ImgtoolError: it failed, with the cause and the remedy; nothing unfinished is left.
        """
        options = CompileOptions(
            anew=anew,
            fast=self.options.precision is Precision.FAST,
            calibrate=self.calibrate,
            threads=self.options.threads or granted_cores(),
            timeout=max(TIMEOUT, self.options.load_timeout),
        )
        arguments = {"languages": list(unit.languages)} if unit.engine == EASYOCR else {}
        done = compile_model(self._requested(unit), artefacts_root(self.options), options, arguments, observer)
        manifest = done.artefact.manifest
        words = in_words(manifest, self.options.precision) if done.changed else "compiled before, from these weights"
        return CompileOutcome(done.changed, words, done.seconds, manifest.size_bytes)

    def _requested(self, unit: Unit) -> RequestedModel:
        options = asked_for(self.options, unit)
        return requested_blip(options) if unit.engine == BLIP else requested_easyocr(options)


def in_words(manifest: ArtefactManifest, precision: Precision) -> str:
    """How the compiled model compares with the original, and if ``precision`` is fast, its lossy twin with it."""
    words, fast = exact_in_words(manifest), manifest.judged_fast
    return f"{words}; fast: {fast_in_words(fast)}" if precision is Precision.FAST and fast is not None else words
