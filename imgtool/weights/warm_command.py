"""The ``imgtool warm-cache`` command that fetches or compiles the model of a run: what remedies name.

It works when pasted: it carries every option that the run needs to find the result. Light.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imgtool.options import EngineOptions, Precision, Scale, Weights
from imgtool.weights.catalogue import DEFAULT_REVISION, Kind, ModelSpec, find, is_catalogued
from imgtool.weights.errors import UnknownModel

DEFAULT_MODEL = "Salesforce/blip-image-captioning-base"


@dataclass(frozen=True)
class WarmCommand:
    """``words`` follow ``imgtool warm-cache``.

    ``revision`` belongs to a repository that is not in the catalogue: only the environment can name it.
    """

    words: tuple[str, ...]
    revision: str = ""

    def also(self, *words: str) -> WarmCommand:
        """The same command with more ``words``."""
        return replace(self, words=(*self.words, *words))

    @property
    def remedy(self) -> str:
        """What to do if the model is missing."""
        return f"run `{self}`"

    @property
    def compiling(self) -> str:
        """What to do if the compiled model cannot be used: compile it again, even if it looks complete."""
        return self.also("--compile").remedy

    @property
    def fetching_again(self) -> str:
        """What to do if the weights are damaged: hash every file, and fetch those again whose hash is wrong."""
        return self.also("--refresh").remedy

    def __str__(self) -> str:
        named = f"IMGTOOL_CAPTION_REVISION={shlex.quote(self.revision)} " if self.revision else ""
        return named + shlex.join(("imgtool", "warm-cache", *self.words))


def blip_command(options: EngineOptions) -> WarmCommand:
    """The command for the BLIP that ``options`` ask for."""
    named, revision = options.caption_model or DEFAULT_MODEL, pinned_revision(options)
    beyond = (*_precision(options), *cache_words(options))
    if options.weights is Weights.SYNTHETIC:
        return WarmCommand((*_synthetic(options.scale.value), *beyond))
    if (folder := folder_named(named)) is not None:
        return WarmCommand(("caption", "--caption-model", str(folder), *beyond))
    if not is_catalogued(named):
        return WarmCommand(("caption", "--caption-model", named, *beyond), revision)
    return WarmCommand((_at(find(named).name, revision), *beyond))


def easyocr_command(options: EngineOptions) -> WarmCommand:
    """The command for the EasyOCR that reads the languages in ``options``."""
    words: tuple[str, ...] = ("easyocr",)
    if options.weights is Weights.SYNTHETIC:
        words = _synthetic(options.scale.value)
    elif options.easyocr_dir is not None:
        words = ("text", "--easyocr-dir", str(options.easyocr_dir))
    return WarmCommand((*words, *_languages(options.languages), *_precision(options), *cache_words(options)))


def model_command(spec: ModelSpec, *words: str) -> WarmCommand:
    """The command that fetches one model into the store that the options ``words`` name."""
    if spec.kind is Kind.SYNTHETIC:
        return WarmCommand((*_synthetic(spec.revision), *_languages(spec.languages), *words))
    revision = spec.revision if spec.pinned else ""
    if not is_catalogued(spec.name):
        return WarmCommand(("caption", "--caption-model", spec.repository, *words), revision)
    return WarmCommand((_at(spec.name, revision), *words))


def cache_words(options: EngineOptions) -> tuple[str, ...]:
    """The flag that names the cache directory, unless the environment names the same one."""
    named = os.environ.get("IMGTOOL_CACHE_DIR")
    if options.cache_dir is None or (named and Path(named) == options.cache_dir):
        return ()
    return "--cache-dir", str(options.cache_dir)


def pinned_revision(options: EngineOptions) -> str:
    """The revision of BLIP that is asked for, by its option or after the model's name; empty if any will do."""
    if options.caption_revision:
        return options.caption_revision
    try:
        spec = find(options.caption_model or DEFAULT_MODEL)
    except UnknownModel:
        return ""
    return spec.revision if spec.revision != DEFAULT_REVISION else ""


def folder_named(named: str) -> Path | None:
    """The folder that ``named`` means, or ``None`` if it is the name of a model."""
    folder = Path(named).expanduser()
    if named.startswith(("/", "~", ".")) or folder.is_dir():
        return folder.absolute()
    return None


def _at(name: str, revision: str) -> str:
    return f"{name}@{revision}" if revision else name


def _synthetic(scale: str) -> tuple[str, ...]:
    return ("--weights", "synthetic", *(() if scale == Scale.FULL.value else ("--scale", scale)))


def _languages(languages: Sequence[str]) -> tuple[str, ...]:
    """The flag for ``languages``; none for a model without languages, nor for the default ones, unless the environment
    names others."""
    usual = tuple(languages) == EngineOptions().languages and not os.environ.get("IMGTOOL_LANGUAGES")
    return () if usual or not languages else ("--languages", ",".join(languages))


def _precision(options: EngineOptions) -> tuple[str, ...]:
    return ("--precision", "fast") if options.precision is Precision.FAST else ()
