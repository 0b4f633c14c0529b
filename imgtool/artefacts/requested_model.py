"""The model that a run asks for: a compiled one is recognised by its name, and by its weights if they are here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from imgtool.errors import ModelMissing
from imgtool.options import Weights
from imgtool.weights.catalogue import easyocr_models, find, is_catalogued
from imgtool.weights.errors import LibraryMissing
from imgtool.weights.languages import easyocr_codes
from imgtool.weights.on_disk import blip, easyocr
from imgtool.weights.synthetic.store import BLIP_NAME
from imgtool.weights.warm_command import (
    DEFAULT_MODEL,
    WarmCommand,
    blip_command,
    easyocr_command,
    folder_named,
    pinned_revision,
)

if TYPE_CHECKING:
    from imgtool.artefacts.manifest import ArtefactManifest
    from imgtool.options import EngineOptions

BLIP, EASYOCR = "blip", "easyocr"
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class RequestedModel:
    """A model as a run asks for it.

    ``source`` is as in :class:`imgtool.artefacts.manifest.ArtefactManifest`. ``command`` fetches and compiles it.
    ``version`` and ``folder`` are of the weights, ``None`` if those or the library that describes them are not here.
    ``repair`` says what to do if the weights are damaged.
    """

    kind: str
    model: str
    source: str
    command: WarmCommand
    version: str | None = None
    folder: Path | None = None
    revision: str = ""
    repair: str = ""

    @property
    def stem(self) -> str:
        """The beginning of its folders' names."""
        return stem_of(self.kind, self.model)

    def is_named_by(self, manifest: ArtefactManifest) -> bool:
        """Whether ``manifest`` is of the model of this name, in any version."""
        if (manifest.kind, manifest.model, manifest.source) != (self.kind, self.model, self.source):
            return False
        if manifest.is_synthetic and not self.source:
            return False
        if self.version is not None or not self.revision or self.revision == manifest.revision:
            return True
        return len(self.revision) >= 7 and manifest.model_version.startswith(self.revision)


def stem_of(kind: str, model: str) -> str:
    """The beginning of the names of ``model``'s folders, and the name of its lock."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", model.rpartition("/")[2]).strip("-.")
    return f"{kind}-{name or 'model'}"


def requested_blip(options: EngineOptions) -> RequestedModel:
    """The BLIP that ``options`` ask for.

    Raises:
        imgtool.errors.ImgtoolError: the options contradict each other, or the mark of synthetic weights is damaged.
    """
    found = _if_here(blip.weights_for, options)
    named = options.caption_model or DEFAULT_MODEL
    folder = folder_named(named)
    # Results name the repository for a short name, and the last part of a path.
    model = find(named).repository if is_catalogued(named) else named
    if options.weights is Weights.SYNTHETIC:
        model = BLIP_NAME
    elif folder is not None:
        model = folder.name
    return RequestedModel(
        kind=BLIP,
        model=model if found is None else found.model,
        source=_source(options, folder),
        command=blip_command(options),
        version=None if found is None else found.version,
        folder=None if found is None else found.folder,
        revision=pinned_revision(options),
        repair=blip.how_to_repair(options),
    )


def requested_easyocr(options: EngineOptions) -> RequestedModel:
    """The EasyOCR that reads the languages in ``options``.

    Raises:
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read these languages, or not together.
        imgtool.errors.ImgtoolError: the options contradict each other, or the mark of synthetic weights is damaged.
    """
    recogniser = easyocr_models(easyocr_codes(options.languages))[-1].name
    found, folder = _if_here(easyocr.weights_for, options), options.easyocr_dir
    return RequestedModel(
        kind=EASYOCR,
        model=recogniser,
        source=_source(options, None if folder is None else folder.expanduser().absolute()),
        command=easyocr_command(options),
        version=None if found is None else found.version,
        folder=None if found is None else found.folder,
        repair=easyocr.how_to_repair(options),
    )


def _if_here(find: Callable[[EngineOptions], _Found], options: EngineOptions) -> _Found | None:
    try:
        return find(options)
    except (ModelMissing, LibraryMissing):
        return None


def _source(options: EngineOptions, folder: Path | None) -> str:
    if options.weights is Weights.SYNTHETIC:
        return f"synthetic/{options.scale.value}"
    return "" if folder is None else str(folder)
