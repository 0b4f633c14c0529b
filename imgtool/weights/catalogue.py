"""The models by name: where each comes from, which files it needs, under which licence.

Hashes and commits are not here: the publisher states them when a model is fetched (the hub's metadata, EasyOCR's own
table), and the manifest keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum

from imgtool.types import Task
from imgtool.weights.errors import UnknownModel
from imgtool.weights.languages import RECOGNISERS, recogniser_for

DEFAULT_REVISION = "main"


class Kind(StrEnum):
    """Who publishes a model, which decides how it is fetched. Synthetic models are made on this machine."""

    HUB = "hub"
    EASYOCR = "easyocr"
    SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class FileSpec:
    """A file of a model. ``names`` are alternatives, the preferred one first; one of them is taken."""

    names: tuple[str, ...]
    required: bool = True


@dataclass(frozen=True)
class ModelSpec:
    """What is known about a model before anything is fetched.

    ``repository`` is ``owner/name`` on the hub, or the path of the entry in EasyOCR's tables. ``files`` is empty for
    EasyOCR, whose table names the file. ``size_bytes`` is approximate. ``languages`` are EasyOCR's codes.
    """

    name: str
    task: Task
    kind: Kind
    repository: str
    files: tuple[FileSpec, ...]
    licence: str
    languages: tuple[str, ...] = ()
    size_bytes: int = 0
    revision: str = DEFAULT_REVISION

    @property
    def pinned(self) -> bool:
        """Whether one revision was asked for; else any fetched revision will do."""
        return self.kind is Kind.HUB and self.revision != DEFAULT_REVISION


_BLIP_FILES = (
    FileSpec(("config.json",)),
    # Newer releases of the processor keep the image settings in a file of another name.
    FileSpec(("preprocessor_config.json", "processor_config.json")),
    FileSpec(("tokenizer.json", "vocab.txt")),
    FileSpec(("model.safetensors",)),
    FileSpec(("tokenizer_config.json",), required=False),
    FileSpec(("special_tokens_map.json",), required=False),
    FileSpec(("vocab.txt",), required=False),
    FileSpec(("generation_config.json",), required=False),
)

_BLIP_BYTES = 990_000_000
_GENERATION_BYTES = {"gen1": 210_000_000, "gen2": 16_000_000}


def _blip(name: str, repository: str, size_bytes: int, licence: str = "BSD-3-Clause") -> ModelSpec:
    return ModelSpec(name, Task.CAPTION, Kind.HUB, repository, _BLIP_FILES, licence, size_bytes=size_bytes)


def _easyocr(name: str, repository: str, size_bytes: int, languages: tuple[str, ...] = ()) -> ModelSpec:
    return ModelSpec(name, Task.TEXT, Kind.EASYOCR, repository, (), "Apache-2.0", languages, size_bytes, revision="")


DETECTOR = _easyocr("craft", "detection/craft", 83_000_000)

CATALOGUE: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        _blip("blip-base", "Salesforce/blip-image-captioning-base", _BLIP_BYTES),
        _blip("blip-large", "Salesforce/blip-image-captioning-large", 1_880_000_000),
        DETECTOR,
        *(
            _easyocr(name, f"recognition/{one.generation}/{name}", _GENERATION_BYTES[one.generation], one.languages)
            for name, one in RECOGNISERS.items()
        ),
    )
}

_ALIASES = {"blip": "blip-base", **{spec.repository: spec.name for spec in CATALOGUE.values() if spec.kind is Kind.HUB}}


def easyocr_models(languages: Sequence[str]) -> tuple[ModelSpec, ...]:
    """The detector and the one recogniser that EasyOCR uses for ``languages``.

    Raises:
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read them, or not together.
    """
    return DETECTOR, CATALOGUE[recogniser_for(languages)]


def find(text: str) -> ModelSpec:
    """The model called ``text``, which may pin a revision: ``blip-base@<branch, tag or commit>``.

    Raises:
        UnknownModel: there is no such model, or it has no revisions to pin.
    """
    name, _, revision = text.partition("@")
    spec = CATALOGUE.get(_ALIASES.get(name, name))
    if spec is None:
        names = sorted({*CATALOGUE, *_ALIASES, "easyocr"})
        near = get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known models: {', '.join(names)}"
        raise UnknownModel(f"{name!r} is no model that imgtool knows", hint)
    if not revision:
        return spec
    if spec.kind is not Kind.HUB:
        raise UnknownModel(f"{name} has no revisions to choose from", f"write {name} without @{revision}")
    return replace(spec, revision=revision)


def is_catalogued(text: str) -> bool:
    """Whether :func:`find` knows ``text``."""
    name = text.partition("@")[0]
    return _ALIASES.get(name, name) in CATALOGUE


def blip_of(repository: str) -> ModelSpec:
    """The captioning model in a ``repository`` of the hub, ``owner/name``, that is not in the catalogue."""
    return _blip(repository.replace("/", "--"), repository, _BLIP_BYTES, licence="as its publisher says")
