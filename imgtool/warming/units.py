"""The models to warm, from the names that a user gives or from the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.analyzers.registry import ANALYZERS
from imgtool.artefacts.requested_model import BLIP, EASYOCR
from imgtool.options import Weights
from imgtool.types import Task
from imgtool.weights.catalogue import Kind, ModelSpec, blip_of, easyocr_models, find, is_catalogued
from imgtool.weights.errors import UnknownModel
from imgtool.weights.places import is_repository_id
from imgtool.weights.synthetic.store import blip_spec, easyocr_spec

if TYPE_CHECKING:
    from imgtool.options import EngineOptions

DEFAULT_CAPTION_MODEL = "blip-base"


@dataclass(frozen=True)
class Unit:
    """Models that one engine loads together. ``engine`` is empty for a part that no engine loads alone.

    ``models`` is empty if the files are in a folder of the user's: nothing is fetched, only compiled and loaded.
    """

    name: str
    models: tuple[ModelSpec, ...]
    engine: str = ""
    languages: tuple[str, ...] = ()


def named_units(names: Sequence[str], options: EngineOptions, languages: Sequence[str]) -> tuple[Unit, ...]:
    """The units for ``names``: models of the catalogue, ``easyocr``, or tasks, which mean their configured engine.

    ``languages`` are EasyOCR's codes.

    Raises:
        UnknownModel: there is no such model.
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read ``languages``.
    """
    synthetic = {BLIP: Task.CAPTION, DEFAULT_CAPTION_MODEL: Task.CAPTION, EASYOCR: Task.TEXT}
    units: dict[Unit, None] = {}
    for name in names:
        if name in {task.value for task in Task}:
            found = _of_task(Task(name), options, languages)
        elif options.weights is Weights.SYNTHETIC:
            if name not in synthetic:
                remedy = f"{BLIP}, {EASYOCR}, or leave the name out"
                raise UnknownModel(f"there are no synthetic weights of {name!r}", remedy)
            found = _of_task(synthetic[name], options, languages)
        elif name == EASYOCR:
            found = (_easyocr(languages),)
        else:
            try:
                spec = find(name)
            except UnknownModel as error:
                remedy = f"{error.remedy}; images whose answers are wanted go with --analyze"
                raise UnknownModel(str(error), remedy) from error
            found = (Unit(spec.name, (spec,), BLIP if spec.kind is Kind.HUB else ""),)
        units.update(dict.fromkeys(found))
    return tuple(units)


def configured_units(options: EngineOptions, languages: Sequence[str]) -> tuple[Unit, ...]:
    """The units that a run with ``options`` would use; none for engines without models to fetch.

    Raises:
        UnknownModel: the configured caption model is neither in the catalogue nor the name of a repository.
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read ``languages``.
    """
    return tuple(unit for task in options.tasks or tuple(Task) for unit in _of_task(task, options, languages))


def _of_task(task: Task, options: EngineOptions, languages: Sequence[str]) -> tuple[Unit, ...]:
    synthetic = options.weights is Weights.SYNTHETIC
    if task is Task.CAPTION and _is_chosen(options.caption_engine, BLIP):
        if synthetic:
            spec = blip_spec(options)
            return (Unit(f"synthetic {spec.name}", (spec,), BLIP),)
        model, revision = options.caption_model or DEFAULT_CAPTION_MODEL, options.caption_revision
        if options.caption_model is not None and (folder := Path(model).expanduser()).is_dir():
            return (Unit(folder.absolute().name, (), BLIP),)
        spec = find(model) if is_catalogued(model) or not is_repository_id(model) else blip_of(model)
        return (Unit(spec.name, (replace(spec, revision=revision) if revision else spec,), BLIP),)
    if task is Task.TEXT and _is_chosen(options.text_engine, EASYOCR):
        unit = _easyocr(languages)
        if synthetic:
            return (Unit(f"synthetic {unit.name}", (easyocr_spec(options),), EASYOCR, unit.languages),)
        return (unit if options.easyocr_dir is None else replace(unit, models=()),)
    return ()


def _is_chosen(engine: str | None, ours: str) -> bool:
    return engine is None or engine == ours or engine in ANALYZERS[ours]


def _easyocr(languages: Sequence[str]) -> Unit:
    return Unit(f"{EASYOCR} ({', '.join(languages)})", easyocr_models(languages), EASYOCR, tuple(languages))
