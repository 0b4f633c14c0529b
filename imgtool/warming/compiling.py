"""Compiling the models of a unit with the options of a run, and saying in words what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from imgtool.artefacts.exported import Parity
from imgtool.artefacts.find import ArtefactState, ArtefactStatus, artefacts_root, status
from imgtool.artefacts.manifest import ArtefactManifest, FastMode
from imgtool.artefacts.request import Wanted, wanted_blip, wanted_easyocr
from imgtool.compiling.compile import TIMEOUT, CompileOptions, compile_model
from imgtool.cores import granted_cores
from imgtool.errors import ImgtoolError, MissingExtra, ModelMissing, UsageProblem
from imgtool.inference.torch import extra_remedy, missing_modules
from imgtool.options import BackendChoice, EngineOptions, Precision
from imgtool.warming.bake import CompileOutcome
from imgtool.warming.trial import asked_for
from imgtool.weights.observer import FetchObserver
from imgtool.weights.wanted_units import BLIP, EASYOCR, Unit

_PACKAGES = {
    BLIP: ("torch", "torchvision", "transformers", "onnx"),
    EASYOCR: ("torch", "torchvision", "easyocr", "onnx"),
}
"""What exporting needs."""


@dataclass(frozen=True)
class UnitCompiler:
    """Compiles units into the cache directory of the options. A :class:`imgtool.warming.bake.Compiler`."""

    options: EngineOptions

    def unusable(self, unit: Unit, *, anew: bool = False) -> ImgtoolError | None:
        """Why ``unit`` is not to be compiled: a library is not installed, or a run would not use it.

        What needs nothing, or only its lossy twin, needs no library of the original's; with ``anew`` all is made again.
        """
        if self.options.backend is BackendChoice.TORCH:
            return UsageProblem("the options ask for torch")
        try:
            needed = _PACKAGES[unit.engine] if anew else self._needed(unit)
            if not needed:
                return None
            if self._wanted(unit).folder is None:
                return ModelMissing("a run would not find what it was made from")
        except ImgtoolError as problem:
            return problem
        missing = missing_modules(*needed)
        return MissingExtra(f"{' and '.join(missing)} not installed", extra_remedy()) if missing else None

    def _needed(self, unit: Unit) -> tuple[str, ...]:
        """The packages that what is still to be done for ``unit`` needs."""
        found = self.status(unit)
        if found.state is not ArtefactState.COMPILED or found.artefact is None:
            return _PACKAGES[unit.engine]
        lacks_twin = self.options.precision is Precision.FAST and found.artefact.manifest.fast is None
        return ("onnx",) if lacks_twin else ()

    def is_damaged(self, unit: Unit) -> bool:
        """Whether a file of the compiled ``unit`` is not what it was; reads every byte."""
        states = (ArtefactState.MISSING_FILE, ArtefactState.CHANGED_FILE, ArtefactState.UNREADABLE)
        return self.status(unit, full=True).state in states

    def status(self, unit: Unit, *, full: bool = False) -> ArtefactStatus:
        """How ``unit`` is compiled here."""
        return status(artefacts_root(self.options), self._wanted(unit), full=full)

    def compile(self, unit: Unit, observer: FetchObserver, *, anew: bool = False) -> CompileOutcome:
        """Compile ``unit`` with the lossy twin where the options ask for it.

        Raises:
            ImgtoolError: it failed, with the cause and the remedy.
        """
        options = CompileOptions(
            anew=anew,
            fast=self.options.precision is Precision.FAST,
            threads=self.options.threads or granted_cores(),
            timeout=max(TIMEOUT, self.options.load_timeout),
        )
        arguments = {"languages": list(unit.languages)} if unit.engine == EASYOCR else {}
        done = compile_model(self._wanted(unit), artefacts_root(self.options), options, arguments, observer)
        manifest = done.artefact.manifest
        words = in_words(manifest, self.options.precision) if done.changed else "compiled before, from these weights"
        return CompileOutcome(done.changed, words, done.seconds, manifest.size_bytes)

    def _wanted(self, unit: Unit) -> Wanted:
        options = asked_for(self.options, unit)
        return wanted_blip(options) if unit.engine == BLIP else wanted_easyocr(options)


def in_words(manifest: ArtefactManifest, precision: Precision) -> str:
    """How the compiled model compares with the original, and its lossy twin with it where ``precision`` is fast."""
    words = f"agrees with torch: {figures(manifest.parity)}" if manifest.parity is not None else ""
    if precision is Precision.FAST and manifest.fast is not None:
        words += f"; fast: {fast_in_words(manifest.fast)}"
    return words


def fast_in_words(fast: FastMode) -> str:
    """What the lossy twin gives and takes."""
    if not fast.executor:
        return f"no way was faster here, it runs as exact does ({fast.method})"
    return f"{fast.method}, {fast.speed_up:.2g} times as fast, {figures(fast.parity)}"


def figures(parity: Parity) -> str:
    """The figures of ``parity`` by their names."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.2g}" for name, value in parity.figures.items())
