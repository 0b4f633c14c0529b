"""Finds the compiled model that a run uses, or says why one that is here cannot be used.

Light: the parent process does this for every run. A compiled model works without the weights it was made from; if those
are here, it must have been made from exactly these.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.artefacts.manifest import FAST, ArtefactFile, ArtefactManifest, is_touched, read_manifest, wrong_size
from imgtool.artefacts.requested_model import RequestedModel, requested_blip, requested_easyocr
from imgtool.artefacts.runtime_identity import RuntimeIdentity, this_runtime
from imgtool.distribution import installed_release
from imgtool.errors import ModelMissing
from imgtool.files import TEMPORARY
from imgtool.ground.home import mended_by
from imgtool.options import cache_root
from imgtool.weights.hashing import measure

if TYPE_CHECKING:
    from imgtool.options import EngineOptions

FOLDER = "compiled"
"""In the cache directory: compiled models, and graphs of others without their denormal weights."""


class ArtefactState(StrEnum):
    """The state of a compiled model on this machine. The last two can be used, but start more slowly."""

    ABSENT = "not compiled"
    UNREADABLE = "unreadable manifest"
    DENIED = "not readable"
    MISSING_FILE = "missing file"
    CHANGED_FILE = "changed file"
    STALE = "other weights"
    COMPILED = "compiled"
    OTHER_RUNTIME = "other onnxruntime"
    OTHER_CPU = "other processor"


class ArtefactUnusable(ModelMissing):
    """A compiled model is here, but a run must not use it."""


@dataclass(frozen=True)
class Artefact:
    """A compiled model that a run can use. ``notice`` is a line for the user, or empty."""

    folder: Path
    manifest: ArtefactManifest
    notice: str = ""


@dataclass(frozen=True)
class ArtefactStatus:
    """The result of checking a compiled model. ``message`` is a sentence for the user."""

    model: str
    state: ArtefactState
    message: str
    remedy: str = ""
    problems: tuple[str, ...] = ()
    artefact: Artefact | None = None

    @property
    def usable(self) -> bool:
        """Whether a run can use it."""
        return self.state in (ArtefactState.COMPILED, ArtefactState.OTHER_RUNTIME, ArtefactState.OTHER_CPU)


def artefacts_root(options: EngineOptions) -> Path:
    """The folder of compiled models."""
    return cache_root(options) / FOLDER


def precision_parameters(artefact: Artefact, precision: str) -> dict[str, str]:
    """The precision with which ``artefact``, found for ``precision``, really computes: part of the cache key.

    ``fast`` differs between machines and between compiles. If it runs as ``exact``, its answers are the exact ones.
    """
    fast = artefact.manifest.judged_fast
    if precision != "fast" or artefact.notice or fast is None or not fast.executor:
        return {"precision": "exact"}
    files = [file.sha256 for file in artefact.manifest.files if file.path.startswith(f"{FAST}/")]
    digest = hashlib.sha256("".join(files).encode()).hexdigest()[:12]
    computed_by = " ".join(filter(None, (fast.executor, fast.release, fast.method, digest)))
    return {"precision": "fast", "computed_by": computed_by}


def find_blip(options: EngineOptions) -> Artefact:
    """The compiled BLIP that a run with ``options`` uses.

    Raises:
        ModelMissing: there is none, it is damaged, or made from other weights than those on this machine.
        imgtool.errors.ImgtoolError: the options contradict each other.
    """
    return _found(requested_blip(options), options)


def find_easyocr(options: EngineOptions) -> Artefact:
    """The compiled EasyOCR that reads the languages in ``options``.

    Raises:
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read these languages, or not together.
        ModelMissing: there is none, it is damaged, or made from other weights than those on this machine.
    """
    return _found(requested_easyocr(options), options)


def _found(requested: RequestedModel, options: EngineOptions) -> Artefact:
    found = status(artefacts_root(options), requested)
    if not found.usable or found.artefact is None:
        kind = ModelMissing if found.state is ArtefactState.ABSENT else ArtefactUnusable
        raise kind(found.message, found.remedy)
    artefact, fast = found.artefact, found.artefact.manifest.judged_fast
    if options.precision.value != "fast" or artefact.notice:
        return artefact
    # Without a measured lossy twin, ``fast`` runs as ``exact``.
    why = ""
    if fast is None:
        why = f"fast has not been measured; {requested.command.remedy}"
    elif fast.executor == "openvino" and (release := installed_release("openvino")) != fast.release:
        why = f"fast needs OpenVINO {fast.release}, and {f'this is {release}' if release else 'none is installed'}"
    elif not fast.executor:
        why = f"nothing was faster here and as good ({fast.method})"
    return replace(artefact, notice=f"{artefact.manifest.label} runs as exact: {why}") if why else artefact


def status(
    root: Path, requested: RequestedModel, *, full: bool = False, runtime: RuntimeIdentity | None = None
) -> ArtefactStatus:
    """Check ``requested`` in ``root`` by the existence and sizes of its files, or with ``full`` by their hashes.

    ``runtime`` is by default that of this machine.
    """
    runtime, model, remedy = runtime or this_runtime(), requested.model, requested.command.remedy
    named = sorted(
        (each for each in all_artefacts(root) if requested.is_named_by(each.manifest)),
        key=lambda each: each.manifest.created,
    )
    if not named:
        return _none_readable(root, requested)
    fresh = [each for each in named if requested.version in (None, each.manifest.model_version)]
    if not fresh:
        newest = named[-1].manifest
        text = (
            f"{newest.label} was made from version {newest.model_version}, and the weights here are {requested.version}"
        )
        return ArtefactStatus(model, ArtefactState.STALE, text, remedy)
    artefact = max(fresh, key=lambda each: (each.manifest.runtime.serves(runtime), each.manifest.created))
    manifest = artefact.manifest
    if wrong := problems(artefact.folder, manifest.files, full=full):
        texts = tuple(text for _, text in wrong)
        # A plain compile compares sizes only, so a wrong hash needs --compile.
        remedy = requested.command.compiling if full else remedy
        return ArtefactStatus(model, wrong[0][0], f"{manifest.label}: {'; '.join(texts)}", remedy, texts)
    if difference := manifest.runtime.difference(runtime):
        same = manifest.runtime.onnxruntime == runtime.onnxruntime
        state = ArtefactState.OTHER_CPU if same else ArtefactState.OTHER_RUNTIME
        text = f"{manifest.label} was optimised for {difference}: its portable graphs are used, which start slower"
        notice = f"{text}; {remedy}, which compiles for this machine"
        return ArtefactStatus(model, state, text, remedy, artefact=replace(artefact, notice=notice))
    text = f"{manifest.label} is complete ({manifest.size_bytes / 1e6:.1f} MB)"
    return ArtefactStatus(model, ArtefactState.COMPILED, text, artefact=artefact)


def _none_readable(root: Path, requested: RequestedModel) -> ArtefactStatus:
    model, remedy = requested.model, requested.command.remedy
    with suppress(FileNotFoundError, NotADirectoryError):
        try:
            next(root.iterdir(), None)
        except PermissionError as error:
            text = f"compiled models cannot be read: {error}"
            return ArtefactStatus(model, ArtefactState.DENIED, text, mended_by(root.parent), (str(root),))
    for folder in folders(root):
        if is_named_after(requested.stem, folder.name):
            try:
                read_manifest(folder)
            except FileNotFoundError:
                text = f"{folder} has no manifest, so it is not a compiled model"
            except (OSError, ValueError) as error:
                text = f"the manifest of the compiled {model} in {folder} cannot be used: {error}"
            else:
                continue
            return ArtefactStatus(model, ArtefactState.UNREADABLE, text, remedy, (str(folder),))
    return ArtefactStatus(model, ArtefactState.ABSENT, f"{model} has not been compiled", remedy)


def problems(folder: Path, files: Sequence[ArtefactFile], *, full: bool) -> list[tuple[ArtefactState, str]]:
    """What is wrong with ``files`` in ``folder``, judged by size, or by hash: with ``full`` all, else those that were
    written to since they were hashed."""
    found = []
    for file in files:
        path = folder / file.path
        try:
            if text := wrong_size(folder, file):
                found.append((ArtefactState.CHANGED_FILE, text))
            elif (full or is_touched(folder, file)) and measure(path).sha256 != file.sha256:
                found.append((ArtefactState.CHANGED_FILE, f"{path} was changed: its hash is wrong"))
        except FileNotFoundError:
            found.append((ArtefactState.MISSING_FILE, f"{path} is missing"))
        except OSError as error:
            found.append((ArtefactState.MISSING_FILE, f"{path} cannot be read: {error.strerror}"))
    return found


def folder_name(requested: RequestedModel, version: str, runtime: RuntimeIdentity) -> str:
    """The name of the folder for ``requested``, made from weights of ``version`` on ``runtime``."""
    machine = (runtime.onnxruntime, runtime.provider, runtime.architecture, *runtime.cpu_features)
    parts = (requested.kind, requested.model, version, requested.source, *machine)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
    return f"{requested.stem}-{digest}"


def is_named_after(stem: str, folder: str) -> bool:
    """Whether ``folder`` has a name as from :func:`folder_name`, finished or not, for a model called ``stem``: not only
    one that begins so, as that of ``blip-my-v2`` begins with ``blip-my``."""
    return re.fullmatch(rf"{re.escape(stem)}-[0-9a-f]{{12}}", folder.partition(TEMPORARY)[0]) is not None


def all_artefacts(root: Path) -> Iterator[Artefact]:
    """Every compiled model in ``root`` whose manifest can be read, sorted by the folder's name."""
    for folder in folders(root):
        try:
            yield Artefact(folder, read_manifest(folder))
        except (OSError, ValueError):
            continue


def folders(root: Path, *, unfinished: bool = False) -> list[Path]:
    """The folders of compiled models in ``root``, sorted by name, with ``unfinished`` also what compiles left."""
    try:
        found = [path for path in root.iterdir() if path.name[0] != "." and path.is_dir()]
    except OSError:
        return []
    return sorted(path for path in found if unfinished or TEMPORARY not in path.name)
