"""Which model a run asks for, so that a compiled one can be recognised: by name, and by its weights if they are here.

Where the weights are is known to :mod:`imgtool.weights.on_disk`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.errors import ModelMissing
from imgtool.options import Weights
from imgtool.weights.errors import LibraryMissing
from imgtool.weights.warm_command import DEFAULT_MODEL, Bake, bake_blip, bake_easyocr, folder_named, pinned_revision

if TYPE_CHECKING:
    from imgtool.artefacts.manifest import ArtefactManifest
    from imgtool.options import EngineOptions

BLIP, EASYOCR = "blip", "easyocr"


@dataclass(frozen=True)
class Wanted:
    """A model as a run asks for it.

    ``source`` is as in :class:`imgtool.artefacts.manifest.ArtefactManifest`. ``version`` and ``folder`` are of
    the weights; both ``None`` where those are not on this machine, or the library that knows them is not. ``command``
    brings it as :class:`imgtool.weights.warm_command.Bake` says.
    """

    kind: str
    model: str
    source: str
    command: str
    version: str | None = None
    folder: Path | None = None
    revision: str = ""
    is_fast: bool = False

    @property
    def stem(self) -> str:
        """How the names of its folders begin."""
        return stem_of(self.kind, self.model)

    @property
    def remedy(self) -> str:
        """What to do where it is not compiled."""
        return Bake(self.command, self.is_fast).remedy

    @property
    def mending(self) -> str:
        """What to do where it is compiled, and the compiled one is of no use."""
        return Bake(self.command, self.is_fast).mending

    def is_named_by(self, manifest: ArtefactManifest) -> bool:
        """Whether ``manifest`` speaks of what is called like this, in whatever version."""
        if (manifest.kind, manifest.model, manifest.source) != (self.kind, self.model, self.source):
            return False
        if manifest.is_synthetic and not self.source:
            return False
        return self.version is not None or self._is_revision_of(manifest)

    def _is_revision_of(self, manifest: ArtefactManifest) -> bool:
        if not self.revision or self.revision == manifest.revision:
            return True
        return len(self.revision) >= 7 and manifest.model_version.startswith(self.revision)


def stem_of(kind: str, model: str) -> str:
    """How the names of the folders of ``model`` begin, and what its lock is called."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", model.rpartition("/")[2]).strip("-.")
    return f"{kind}-{name or 'model'}"


def wanted_blip(options: EngineOptions) -> Wanted:
    """The BLIP that ``options`` ask for.

    Raises:
        imgtool.errors.ImgtoolError: the options contradict each other, or the mark of synthetic weights is damaged.
    """
    from imgtool.weights.on_disk.blip import weights_for
    from imgtool.weights.synthetic.store import BLIP_NAME

    found = _if_here(lambda: weights_for(options))
    named = options.caption_model or DEFAULT_MODEL
    model, source = _repository(named), _source(options, folder_named(named))
    if options.weights is Weights.SYNTHETIC:
        model = BLIP_NAME
    bake = bake_blip(options)
    return Wanted(
        kind=BLIP,
        model=model if found is None else found.model,
        source=source,
        command=bake.command,
        version=None if found is None else found.version,
        folder=None if found is None else found.folder,
        revision=pinned_revision(options),
        is_fast=bake.is_fast,
    )


def wanted_easyocr(options: EngineOptions) -> Wanted:
    """The EasyOCR that reads the languages in ``options``.

    Raises:
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read these languages, or not together.
        imgtool.errors.ImgtoolError: the options contradict each other, or the mark of synthetic weights is damaged.
    """
    from imgtool.weights.catalogue import easyocr_models
    from imgtool.weights.languages import easyocr_codes
    from imgtool.weights.on_disk.easyocr import weights_for

    recogniser = easyocr_models(easyocr_codes(options.languages))[-1].name
    found = _if_here(lambda: weights_for(options))
    folder, bake = options.easyocr_dir, bake_easyocr(options)
    return Wanted(
        kind=EASYOCR,
        model=recogniser,
        source=_source(options, None if folder is None else folder.expanduser().absolute()),
        command=bake.command,
        version=None if found is None else found.version,
        folder=None if found is None else found.folder,
        is_fast=bake.is_fast,
    )


def _if_here(find: Callable[[], Any]) -> Any:
    try:
        return find()
    except (ModelMissing, LibraryMissing):
        return None


def _repository(named: str) -> str:
    """What results call the model: the repository of a short name, the last part of a path."""
    from imgtool.weights.catalogue import find
    from imgtool.weights.errors import UnknownModel

    if (folder := folder_named(named)) is not None:
        return folder.name
    try:
        return find(named).repository
    except UnknownModel:
        return named


def _source(options: EngineOptions, folder: Path | None) -> str:
    if options.weights is Weights.SYNTHETIC:
        return f"synthetic/{options.scale.value}"
    return "" if folder is None else str(folder)
