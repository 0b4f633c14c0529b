"""Loads a unit once in a worker of its own, as a run would, and measures time and memory."""

from __future__ import annotations

import queue
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import msgspec

from imgtool.analyzers.interface import Analyzer
from imgtool.analyzers.registry import choose_target, load_class
from imgtool.artefacts.find import find_blip, find_easyocr
from imgtool.artefacts.manifest import wrong_sample
from imgtool.artefacts.requested_model import BLIP, EASYOCR
from imgtool.errors import ImgtoolError, MissingExtra, ModelLoadFailed, ModelMissing
from imgtool.ground.cores import granted_cores
from imgtool.inference.torch import extra_remedy, missing_modules
from imgtool.options import EngineOptions, Weights
from imgtool.runtime.process import Died, WorkerProcess
from imgtool.runtime.protocol import FromWorker, ModelFailed, ModelLoaded, Setup, Stop, TaskPlan, WarmUp
from imgtool.types import Backend, Problem
from imgtool.warming.trial_records import Trial
from imgtool.warming.units import Unit
from imgtool.weights.store import ModelStore
from imgtool.weights.warm_command import easyocr_command

_GRACE_SECONDS = 2.0

PACKAGES = {BLIP: ("torch", "torchvision", "transformers"), EASYOCR: ("torch", "torchvision", "easyocr")}
"""What the engines of fetched models need."""

_COMPILED = ("onnxruntime", "numpy")


@dataclass(frozen=True)
class UnitLoader:
    """Loads units in workers, with the options of a run."""

    options: EngineOptions

    def unusable(self, unit: Unit) -> ImgtoolError | None:
        """Why ``unit`` cannot be loaded on this machine: no engine loads it alone, or its engine lacks a library.

        No library is imported. A compiled model needs none."""
        if not unit.engine:
            command = easyocr_command(self.options)
            return ModelMissing("a part of EasyOCR, loaded together with the others", command.remedy)
        if self._is_compiled(unit):
            return None
        missing = missing_modules(*PACKAGES[unit.engine])
        return MissingExtra(f"{' and '.join(missing)} not installed", extra_remedy()) if missing else None

    def unfound(self, unit: Unit, store: ModelStore) -> Problem | None:
        """Why a run would not find ``unit``, which is complete; ``None`` if it would, or nothing here can load it."""
        return self.unready(unit, store) if self.unusable(unit) is None else None

    def unready(self, unit: Unit, store: ModelStore) -> Problem | None:
        """Why a run cannot use ``unit``, which is complete; ``None`` if it can, or if no engine loads it alone."""
        if not unit.engine:
            return None
        options, _, cls = self._chosen(unit)
        probe, remedy = cls.probe(options), ""
        if probe.available:
            return None
        of_the_hub = unit.engine == BLIP and unit.models and self.options.weights is not Weights.SYNTHETIC
        if of_the_hub and cls.spec.backend is Backend.TORCH and self.unusable(unit) is None:
            # The weights are here, but torch would not find them by name.
            folder = store.folder(unit.models[0].name)
            remedy = f"name its folder: --caption-model {shlex.quote(str(folder))}" if folder is not None else ""
        return Problem("model_missing", f"a run cannot use {unit.name}: {probe.reason}", remedy or probe.remedy)

    def versions(self, unit: Unit) -> Mapping[str, str]:
        """The versions of the code and packages that run ``unit``: a trial is valid for these only.

        For a compiled model they also say which one it is and what a quick look finds wrong with it, because a trial is
        not valid for a model that was damaged afterwards.
        """
        options, target, cls = self._chosen(unit)
        packages = _COMPILED if cls.spec.backend is Backend.ONNX else PACKAGES[unit.engine]
        named = {"engine": cls.spec.version, "target": target, "model": cls.probe(options).model_version}
        for package in packages:
            try:
                named[package] = version(package)
            except PackageNotFoundError:
                named[package] = ""
        if self._is_compiled(unit):
            found = find_blip(options) if unit.engine == BLIP else find_easyocr(options)
            named["artefact"] = f"{found.folder.name} {found.manifest.created}"
            named["precision"] = options.precision.value
            try:
                damage = "; ".join(filter(None, (wrong_sample(found.folder, file) for file in found.manifest.files)))
            except OSError as error:
                damage = str(error)
            if damage:
                named["damage"] = damage
        return named

    def load(self, unit: Unit, store: ModelStore) -> Trial:
        """Load the unit and run it once in a worker.

        Raises:
            ModelLoadFailed: it failed, took longer than ``load_timeout``, or the worker died.
            imgtool.errors.ImgtoolError: the engine refuses the options, or does not find the files.
        """
        options = asked_for(self.options, unit)
        if not self._is_compiled(unit) and self.options.weights is not Weights.SYNTHETIC and unit.models:
            # The unit's own files instead of those that a run would find by name.
            if unit.engine == BLIP:
                named = {"caption_model": str(store.folder(unit.models[0].name)), "caption_revision": None}
            else:
                named = {"easyocr_dir": None}
            options = msgspec.structs.replace(options, **named)
        target = choose_target(unit.engine, options)
        cls = load_class(target)
        plan = TaskPlan(task=cls.spec.task, analyzer=unit.engine, target=target, parameters=cls.parameters(options))
        return trial_of(plan, self.options)

    def _chosen(self, unit: Unit) -> tuple[EngineOptions, str, type[Analyzer]]:
        options = asked_for(self.options, unit)
        target = choose_target(unit.engine, options)
        return options, target, load_class(target)

    def _is_compiled(self, unit: Unit) -> bool:
        """Whether a run would use a compiled model for ``unit``."""
        options, _, cls = self._chosen(unit)
        return cls.spec.backend is Backend.ONNX and cls.probe(options).available


def trial_of(plan: TaskPlan, options: EngineOptions) -> Trial:
    """Load and run ``plan`` once in a worker, which always ends afterwards.

    Raises:
        ModelLoadFailed: it failed, took longer than ``options.load_timeout``, or the worker died.
    """
    setup = Setup(
        plans=(plan,),
        max_pixels=options.max_pixels,
        batch_pixels=options.batch_pixels,
        threads=options.threads or granted_cores(),
    )
    events: queue.SimpleQueue[FromWorker | Died] = queue.SimpleQueue()
    worker = WorkerProcess(lambda: setup, lambda _, event: events.put(event))
    try:
        worker.send(WarmUp())
        deadline = time.monotonic() + options.load_timeout
        while not isinstance(event := events.get(timeout=max(0.0, deadline - time.monotonic())), ModelLoaded):
            if isinstance(event, ModelFailed):
                raise ModelLoadFailed(event.problem.message, event.problem.remedy)
            if isinstance(event, Died):
                last = event.stderr_tail.rpartition("\n")[2]
                raise ModelLoadFailed(
                    f"the process that loaded {plan.analyzer} {event.description}{f': {last}' if last else ''}",
                    "check the free memory; `--full-check` tells whether the files are damaged",
                )
        worker.send(Stop())
        worker.join(_GRACE_SECONDS)
    except queue.Empty:
        text = f"{plan.analyzer} was not loaded within {options.load_timeout:.0f} s"
        raise ModelLoadFailed(text, "allow more with --load-timeout") from None
    finally:
        worker.kill()
        worker.join(_GRACE_SECONDS)
    return Trial(
        import_seconds=event.import_seconds,
        load_seconds=event.load_seconds,
        warm_up_seconds=event.warm_up_seconds,
        rss_before=event.rss_before,
        rss_after=event.rss_after,
    )


def asked_for(options: EngineOptions, unit: Unit) -> EngineOptions:
    """``options`` of a run that asks for ``unit`` by name."""
    if unit.engine == EASYOCR:
        return msgspec.structs.replace(options, languages=unit.languages)
    if options.weights is Weights.SYNTHETIC or not unit.models:
        return options
    model = unit.models[0]
    revision = model.revision if model.pinned else None
    return msgspec.structs.replace(options, caption_model=model.repository, caption_revision=revision)
