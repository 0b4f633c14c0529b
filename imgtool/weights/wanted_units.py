"""From what a user names, or has configured, to the models that are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.options import Weights
from imgtool.types import Task
from imgtool.weights.catalogue import Kind, ModelSpec, easyocr_models, find
from imgtool.weights.errors import UnknownModel
from imgtool.weights.synthetic.store import blip_spec, easyocr_spec

if TYPE_CHECKING:
    from imgtool.options import EngineOptions

BLIP, EASYOCR = "blip", "easyocr"
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
        UnknownModel: the configured caption model is in no catalogue.
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read ``languages``.
    """
    return tuple(unit for task in options.wanted_tasks for unit in _of_task(task, options, languages))


def _named(name: str, options: EngineOptions, languages: Sequence[str]) -> tuple[Unit, ...]:
    if name in {task.value for task in Task}:
        return _of_task(Task(name), options, languages)
    if options.weights is Weights.SYNTHETIC:
        return _synthetic_by_name(name, options, languages)
    if name == EASYOCR:
        return (_easyocr(languages),)
    try:
        spec = find(name)
    except UnknownModel as error:
        raise UnknownModel(str(error), f"{error.remedy}; images whose answers are wanted go with --analyze") from error
    return (Unit(spec.name, (spec,), BLIP if spec.kind is Kind.HUB else ""),)


def _of_task(task: Task, options: EngineOptions, languages: Sequence[str]) -> tuple[Unit, ...]:
    if options.weights is Weights.SYNTHETIC:
        return _synthetic(task, options, languages)
    if task is Task.CAPTION and _chosen(options.caption_engine, BLIP):
        return _caption_model(options)
    if task is Task.TEXT and _chosen(options.text_engine, EASYOCR):
        unit = _easyocr(languages)
        return (unit if options.easyocr_dir is None else replace(unit, models=()),)
    return ()


def _synthetic_by_name(name: str, options: EngineOptions, languages: Sequence[str]) -> tuple[Unit, ...]:
    task = {BLIP: Task.CAPTION, DEFAULT_CAPTION_MODEL: Task.CAPTION, EASYOCR: Task.TEXT}.get(name)
    if task is None:
        raise UnknownModel(f"there are no synthetic weights of {name!r}", f"{BLIP}, {EASYOCR}, or leave the name out")
    return _synthetic(task, options, languages)


def _synthetic(task: Task, options: EngineOptions, languages: Sequence[str]) -> tuple[Unit, ...]:
    if task is Task.CAPTION and _chosen(options.caption_engine, BLIP):
        spec = blip_spec(options)
        return (Unit(f"synthetic {spec.name}", (spec,), BLIP),)
    if task is Task.TEXT and _chosen(options.text_engine, EASYOCR):
        unit = _easyocr(languages)
        return (Unit(f"synthetic {unit.name}", (easyocr_spec(options),), EASYOCR, unit.languages),)
    return ()


def _chosen(engine: str | None, ours: str) -> bool:
    return engine is None or engine == ours or engine.startswith(f"imgtool.analyzers.{ours}:")


def _caption_model(options: EngineOptions) -> tuple[Unit, ...]:
    model, revision = options.caption_model, options.caption_revision
    if model is not None and Path(model).expanduser().is_dir():
        return (Unit(Path(model).expanduser().absolute().name, (), BLIP),)
    spec = find(model or DEFAULT_CAPTION_MODEL)
    return (Unit(spec.name, (replace(spec, revision=revision) if revision else spec,), BLIP),)


def _easyocr(languages: Sequence[str]) -> Unit:
    return Unit(f"{EASYOCR} ({', '.join(languages)})", easyocr_models(languages), EASYOCR, tuple(languages))
