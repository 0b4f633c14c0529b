"""From what a user names, or has configured, to the models that are to be warmed."""

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
    """Models that are loaded together by one engine. ``engine`` is empty for a part that no engine loads alone.

    ``models`` is empty where the user keeps the files in a folder: there is nothing to fetch, but to compile and load.
    """

    name: str
    models: tuple[ModelSpec, ...]
    engine: str = ""
    languages: tuple[str, ...] = ()


def named_units(names: Sequence[str], options: EngineOptions, languages: Sequence[str]) -> tuple[Unit, ...]:
    """The units behind ``names``: models of the catalogue, ``easyocr``, or tasks, whose configured engine counts.

    ``languages`` are EasyOCR's codes.

    Raises:
        UnknownModel: there is no such model.
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read ``languages``.
    """
    units: dict[Unit, None] = {}
    for name in names:
        units.update(dict.fromkeys(_named(name, options, languages)))
    return tuple(units)


def configured_units(options: EngineOptions, languages: Sequence[str]) -> tuple[Unit, ...]:
    """The units that a run with ``options`` would use; none for engines that need nothing fetched.

    Raises:
        UnknownModel: the configured caption model is in no catalogue, and no repository of the hub.
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read ``languages``.
    """
    return tuple(unit for task in options.tasks or tuple(Task) for unit in _of_task(task, options, languages))


def _named(name: str, options: EngineOptions, languages: Sequence[str]) -> tuple[Unit, ...]:
    if name in {task.value for task in Task}:
        return _of_task(Task(name), options, languages)
    if options.weights is Weights.SYNTHETIC:
        task = {BLIP: Task.CAPTION, DEFAULT_CAPTION_MODEL: Task.CAPTION, EASYOCR: Task.TEXT}.get(name)
        if task is None:
            raise UnknownModel(
                f"there are no synthetic weights of {name!r}", f"{BLIP}, {EASYOCR}, or leave the name out"
            )
        return _of_task(task, options, languages)
    if name == EASYOCR:
        return (_easyocr(languages),)
    try:
        spec = find(name)
    except UnknownModel as error:
        raise UnknownModel(str(error), f"{error.remedy}; images whose answers are wanted go with --analyze") from error
    return (Unit(spec.name, (spec,), BLIP if spec.kind is Kind.HUB else ""),)


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
