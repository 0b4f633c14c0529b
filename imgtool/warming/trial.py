"""Loading a model once in a worker of its own, as a run would, and seeing what it takes."""

from __future__ import annotations

import queue
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import msgspec

from imgtool.analyzers.registry import choose_target, load_class
from imgtool.artefacts.find import Artefact, find_blip, find_easyocr
from imgtool.artefacts.manifest import wrong_sample
from imgtool.cores import granted_cores
from imgtool.errors import ImgtoolError, MissingExtra, ModelLoadFailed
from imgtool.inference.torch import extra_remedy, missing_modules
from imgtool.options import EngineOptions, Weights
from imgtool.runtime.process import Died, Worker, WorkerProcess
from imgtool.runtime.protocol import FromWorker, ModelFailed, ModelLoaded, Setup, Stop, TaskPlan, WarmUp
from imgtool.types import Backend, Problem
from imgtool.warming.trials import Trial
from imgtool.weights.store import ModelStore
from imgtool.weights.wanted_units import BLIP, EASYOCR, Unit

_GRACE_SECONDS = 2.0


_PACKAGES = {BLIP: ("torch", "torchvision", "transformers"), EASYOCR: ("torch", "torchvision", "easyocr")}
"""What the engines that models are fetched for cannot do without."""

_COMPILED = ("onnxruntime", "numpy")


@dataclass(frozen=True)
class WorkerLoader:
    """Loads units in workers, with the options of a run. A :class:`imgtool.warming.bake.Loader`."""

    options: EngineOptions

    def unusable(self, unit: Unit) -> ImgtoolError | None:
        """Which libraries of the unit's engine are not installed; none of them is imported, and a compiled model
        needs none of them."""
        if self._is_compiled(unit):
            return None
        missing = missing_modules(*_PACKAGES[unit.engine])
        return MissingExtra(f"{' and '.join(missing)} not installed", extra_remedy()) if missing else None

    def unfound(self, unit: Unit, store: ModelStore) -> Problem | None:
        """Why a run would not find ``unit``, which is whole; ``None`` where it would, or nothing here could load it."""
        if not unit.engine or self.unusable(unit) is not None:
            return None
        return self.unready(unit, store)

    def unready(self, unit: Unit, store: ModelStore) -> Problem | None:
        """Why a run cannot use ``unit``, which is whole; ``None`` where it can, or no engine loads it alone."""
        if not unit.engine:
            return None
        options = asked_for(self.options, unit)
        cls = load_class(choose_target(unit.engine, options))
        probe = cls.probe(options)
        if probe.available:
            return None
        named = ""
        if cls.spec.backend is Backend.TORCH and self.unusable(unit) is None:
            named = self._where(unit, store)
        return Problem("model_missing", f"a run cannot use {unit.name}: {probe.reason}", named or probe.remedy)

    def _where(self, unit: Unit, store: ModelStore) -> str:
        """How to name weights that are here and that torch would not find by name; empty where there is no way."""
        if unit.engine != BLIP or not unit.models or self.options.weights is Weights.SYNTHETIC:
            return ""
        folder = store.folder(unit.models[0].name)
        return f"name its folder: --caption-model {shlex.quote(str(folder))}" if folder is not None else ""

    def versions(self, unit: Unit) -> Mapping[str, str]:
        """Of the engine's own code, and of the packages that it runs on."""
        options = asked_for(self.options, unit)
        cls = load_class(target := choose_target(unit.engine, options))
        is_compiled = cls.spec.backend is Backend.ONNX
        packages = {package: _version(package) for package in (_COMPILED if is_compiled else _PACKAGES[unit.engine])}
        own = {"engine": cls.spec.version, "target": target, "model": cls.probe(options).model_version}
        return {**own, **packages, **self._artefact(unit)}

    def load(self, unit: Unit, store: ModelStore) -> Trial:
        """Load the unit and run it once in a worker.

        Raises:
            ModelLoadFailed: it failed, took longer than ``load_timeout``, or took the worker along.
            imgtool.errors.ImgtoolError: the engine refuses the options, or does not find the files.
        """
        options = asked_for(self.options, unit)
        if not self._is_compiled(unit):
            options = _pointed_at(self.options, unit, store)
        target = choose_target(unit.engine, options)
        cls = load_class(target)
        plan = TaskPlan(task=cls.spec.task, analyzer=unit.engine, target=target, parameters=cls.parameters(options))
        return trial_of(plan, self.options)

    def _is_compiled(self, unit: Unit) -> bool:
        """Whether a run would use a compiled model for ``unit``."""
        if not unit.engine:
            return False
        options = asked_for(self.options, unit)
        cls = load_class(choose_target(unit.engine, options))
        return cls.spec.backend is Backend.ONNX and cls.probe(options).available

    def _artefact(self, unit: Unit) -> dict[str, str]:
        """Which compiled model a run would use, where it would, and what a quick look finds wrong with it: a trial of a
        whole one says nothing about one that was damaged since."""
        if not self._is_compiled(unit):
            return {}
        options = asked_for(self.options, unit)
        found = find_blip(options) if unit.engine == BLIP else find_easyocr(options)
        named = {"artefact": f"{found.folder.name} {found.manifest.created}", "precision": options.precision.value}
        return {**named, "damage": damage} if (damage := _damage(found)) else named


def _damage(artefact: Artefact) -> str:
    try:
        return "; ".join(filter(None, (wrong_sample(artefact.folder, file) for file in artefact.manifest.files)))
    except OSError as error:
        return str(error)


def trial_of(plan: TaskPlan, options: EngineOptions) -> Trial:
    """Load and run ``plan`` once in a worker, which ends afterwards, whatever happens.

    Raises:
        ModelLoadFailed: it failed, took longer than ``options.load_timeout``, or took the worker along.
    """
    setup = Setup(
        plans=(plan,),
        max_pixels=options.max_pixels,
        batch_pixels=options.batch_pixels,
        threads=options.threads or granted_cores(),
    )
    events: queue.SimpleQueue[FromWorker | Died] = queue.SimpleQueue()

    def post(_: Worker, event: FromWorker | Died) -> None:
        events.put(event)

    worker = WorkerProcess(lambda: setup, post)
    try:
        worker.send(WarmUp())
        trial = _outcome(events, plan, options.load_timeout)
        worker.send(Stop())
        worker.join(_GRACE_SECONDS)
        return trial
    finally:
        worker.kill()
        worker.join(_GRACE_SECONDS)


def _outcome(events: queue.SimpleQueue[FromWorker | Died], plan: TaskPlan, timeout: float) -> Trial:
    deadline = time.monotonic() + timeout
    while True:
        try:
            event = events.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise ModelLoadFailed(
                f"{plan.analyzer} was not loaded within {timeout:.0f} s", "allow more with --load-timeout"
            ) from None
        if isinstance(event, ModelLoaded):
            return Trial(
                import_seconds=event.import_seconds,
                load_seconds=event.load_seconds,
                warm_up_seconds=event.warm_up_seconds,
                rss_before=event.rss_before,
                rss_after=event.rss_after,
            )
        if isinstance(event, ModelFailed):
            raise ModelLoadFailed(event.problem.message, event.problem.remedy)
        if isinstance(event, Died):
            last = event.stderr_tail.rpartition("\n")[2]
            raise ModelLoadFailed(
                f"the process that loaded {plan.analyzer} {event.description}{f': {last}' if last else ''}",
                "check the memory that is free; `--full-check` tells whether the files are whole",
            )


def _pointed_at(options: EngineOptions, unit: Unit, store: ModelStore) -> EngineOptions:
    """``options`` with the unit's own files in place of those that a run would look for by name."""
    if options.weights is Weights.SYNTHETIC or not unit.models:
        return asked_for(options, unit)
    if unit.engine == BLIP:
        folder = store.folder(unit.models[0].name)
        return msgspec.structs.replace(options, caption_model=str(folder), caption_revision=None)
    return msgspec.structs.replace(options, languages=unit.languages, easyocr_dir=None)


def asked_for(options: EngineOptions, unit: Unit) -> EngineOptions:
    """``options`` of a run that asks for ``unit`` by its name."""
    if unit.engine == EASYOCR:
        return msgspec.structs.replace(options, languages=unit.languages)
    if options.weights is Weights.SYNTHETIC or not unit.models:
        return options
    model = unit.models[0]
    revision = model.revision if model.pinned else None
    return msgspec.structs.replace(options, caption_model=model.repository, caption_revision=revision)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
