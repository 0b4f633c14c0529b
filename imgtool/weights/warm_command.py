"""The command that brings a model as a run asks for it: what a remedy names has to carry all that was asked. Light."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgtool.options import EngineOptions, Precision, Scale, Weights
from imgtool.weights.catalogue import DEFAULT_REVISION, Kind, ModelSpec, find
from imgtool.weights.errors import UnknownModel

DEFAULT_MODEL = "Salesforce/blip-image-captioning-base"

_WARM = "imgtool warm-cache"


@dataclass(frozen=True)
class Bake:
    """A command, to which ``--precision fast`` is still to be added where ``is_fast``."""

    command: str
    is_fast: bool = False

    @property
    def remedy(self) -> str:
        """What to do where the model is not here."""
        return f"run `{self._whole}`"

    @property
    def mending(self) -> str:
        """What to do where it is compiled, and the compiled one is of no use."""
        return f"run `{self._whole} --compile`"

    @property
    def _whole(self) -> str:
        return f"{self.command} --precision fast" if self.is_fast else self.command


def bake_blip(options: EngineOptions) -> Bake:
    """What brings the BLIP that ``options`` ask for."""
    named = options.caption_model or DEFAULT_MODEL
    if options.weights is Weights.SYNTHETIC:
        arguments = _synthetic(options.scale.value)
    elif (folder := folder_named(named)) is not None:
        arguments = ("caption", "--caption-model", str(folder))
    else:
        arguments = (_at(_name(named), pinned_revision(options)),)
    return _bake(options, arguments)


def bake_easyocr(options: EngineOptions) -> Bake:
    """What brings the EasyOCR that reads the languages in ``options``."""
    arguments: tuple[str, ...] = ("easyocr",)
    if options.weights is Weights.SYNTHETIC:
        arguments = _synthetic(options.scale.value)
    elif options.easyocr_dir is not None:
        arguments = ("text", "--easyocr-dir", str(options.easyocr_dir))
    return _bake(options, (*arguments, *_languages(options.languages)))


def bake_spec(spec: ModelSpec) -> Bake:
    """What brings one model into the store."""
    if spec.kind is Kind.SYNTHETIC:
        return Bake(shlex.join((*_WARM.split(), *_synthetic(spec.revision), *_languages(spec.languages))))
    return Bake(shlex.join((*_WARM.split(), _at(spec.name, spec.revision if spec.pinned else ""))))


def pinned_revision(options: EngineOptions) -> str:
    """The revision of BLIP that is asked for, on its own or behind the name of the model; empty where any will do."""
    if options.caption_revision:
        return options.caption_revision
    try:
        spec = find(options.caption_model or DEFAULT_MODEL)
    except UnknownModel:
        return ""
    return spec.revision if spec.revision != DEFAULT_REVISION else ""


def folder_named(named: str) -> Path | None:
    """The folder that ``named`` leads to; ``None`` where it is the name of a model."""
    folder = Path(named).expanduser()
    if named.startswith(("/", "~", ".")) or folder.is_dir():
        return folder.absolute()
    return None


def _bake(options: EngineOptions, arguments: Sequence[str]) -> Bake:
    return Bake(shlex.join((*_WARM.split(), *arguments)), options.precision is Precision.FAST)


def _name(named: str) -> str:
    try:
        return find(named).name
    except UnknownModel:
        return named


def _at(name: str, revision: str) -> str:
    return f"{name}@{revision}" if revision else name


def _synthetic(scale: str) -> tuple[str, ...]:
    return ("--weights", "synthetic", *(() if scale == Scale.FULL.value else ("--scale", scale)))


def _languages(languages: Sequence[str]) -> tuple[str, ...]:
    """Empty ``languages`` are those of a model that reads none."""
    if not languages or tuple(languages) == EngineOptions().languages:
        return ()
    return "--languages", ",".join(languages)
