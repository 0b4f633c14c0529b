"""Compiled models on this machine: which one a run would use, and what keeps it from one that is here.

Light: the parent looks here for every run. A compiled model needs none of what it was made from, so it is found where
the weights are gone; where they are here it must have been made from exactly these.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.artefacts.manifest import ArtefactFile, ArtefactManifest, read_manifest, wrong_size
from imgtool.artefacts.requested_model import Wanted, wanted_blip, wanted_easyocr
from imgtool.artefacts.runtime_identity import RuntimeIdentity, installed_release, this_runtime
from imgtool.errors import ImgtoolError, ModelMissing
from imgtool.files import TEMPORARY
from imgtool.weights.hashing import measure

if TYPE_CHECKING:
    from imgtool.options import EngineOptions

FOLDER = "compiled"
"""In the cache directory."""


class ArtefactState(StrEnum):
    """How a compiled model is here. The last two can be used; they start slower than they could."""

    ABSENT = "not compiled"
    UNREADABLE = "unreadable manifest"
    MISSING_FILE = "missing file"
    CHANGED_FILE = "changed file"
    STALE = "other weights"
    COMPILED = "compiled"
    OTHER_RUNTIME = "other onnxruntime"
    OTHER_CPU = "other processor"


_USABLE = {ArtefactState.COMPILED, ArtefactState.OTHER_RUNTIME, ArtefactState.OTHER_CPU}


class ArtefactUnusable(ModelMissing):
    """A compiled model is here, and a run must not use it."""


@dataclass(frozen=True)
class Artefact:
    """A compiled model that a run can use. ``notice`` is a line for the user, or empty."""

    folder: Path
    manifest: ArtefactManifest
    notice: str = ""


@dataclass(frozen=True)
class ArtefactStatus:
    """What a look at a compiled model found. ``message`` is a sentence for people."""

    model: str
    state: ArtefactState
    message: str
    remedy: str = ""
    problems: tuple[str, ...] = ()
    artefact: Artefact | None = None

    @property
    def usable(self) -> bool:
        """Whether a run can use it."""
        return self.state in _USABLE


def artefacts_root(options: EngineOptions) -> Path:
    """Where compiled models are kept."""
    from imgtool.options import cache_root

    return cache_root(options) / FOLDER


def precision_parameters(artefact: Artefact, precision: str) -> dict[str, str]:
    """How ``artefact``, found for ``precision``, really computes: what answers are kept under.

    ``fast`` is not the same on every machine, nor before and after another bake; where it runs as ``exact`` its answers
    are the exact ones.
    """
    fast = artefact.manifest.fast
    if precision != "fast" or artefact.notice or fast is None or not fast.executor:
        return {"precision": "exact"}
    return {"precision": "fast", "computed_by": " ".join(filter(None, (fast.executor, fast.release, fast.method)))}


def find_blip(options: EngineOptions) -> Artefact:
    """The compiled BLIP that a run with ``options`` uses.

    Raises:
        ModelMissing: there is none, it is damaged, or made from other weights than those on this machine.
        imgtool.errors.ImgtoolError: the options contradict each other.
    """
    return _found(wanted_blip(options), options)


def find_easyocr(options: EngineOptions) -> Artefact:
    """The compiled EasyOCR that reads the languages in ``options``.

    Raises:
        imgtool.weights.errors.LanguagesRefused: EasyOCR does not read these languages, or not together.
        ModelMissing: there is none, it is damaged, or made from other weights than those on this machine.
    """
    return _found(wanted_easyocr(options), options)


def why_unused(problem: ImgtoolError) -> str:
    """A line for the user where a compiled model is here and not used; nothing where there is none."""
    return f"{problem} ({problem.remedy})" if isinstance(problem, ArtefactUnusable) else ""


def status(root: Path, wanted: Wanted, *, full: bool = False, runtime: RuntimeIdentity | None = None) -> ArtefactStatus:
    """How ``wanted`` is in ``root``: by existence and sizes, or with ``full`` by the hash of every file.

    ``runtime`` is this machine's where it is not given.
    """
    runtime = runtime or this_runtime()
    named = _candidates(root, wanted)
    fresh = [each for each in named if wanted.version in (None, each.manifest.model_version)]
    if not named:
        return _none_readable(root, wanted)
    if not fresh:
        return _stale(named[-1], wanted)
    best = max(fresh, key=lambda each: (each.manifest.runtime.serves(runtime), each.manifest.created))
    return _examined(best, wanted, full, runtime)


def problems(folder: Path, files: Sequence[ArtefactFile], *, full: bool) -> list[tuple[ArtefactState, str]]:
    """What is wrong with ``files`` in ``folder``: by size, or with ``full`` by hash."""
    return [found for file in files if (found := _problem(folder, file, full)) is not None]


def folder_name(wanted: Wanted, version: str, runtime: RuntimeIdentity) -> str:
    """The name of the folder of ``wanted`` made from weights of ``version`` on ``runtime``."""
    parts = (wanted.kind, wanted.model, version, wanted.source, *_words(runtime))
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
    return f"{wanted.stem}-{digest}"


def is_named_after(stem: str, folder: str) -> bool:
    """Whether ``folder``, of which the end of an unfinished one is left aside, is named as :func:`folder_name` does it
    for a model called ``stem``. That of ``blip-my-v2`` is none of ``blip-my``."""
    return re.fullmatch(rf"{re.escape(stem)}-[0-9a-f]{{12}}", folder.partition(TEMPORARY)[0]) is not None


def all_artefacts(root: Path) -> Iterator[Artefact]:
    """Every compiled model in ``root`` whose manifest can be read, by name of the folder."""
    for folder in _folders(root):
        try:
            yield Artefact(folder, read_manifest(folder))
        except (OSError, ValueError):
            continue


def _found(wanted: Wanted, options: EngineOptions) -> Artefact:
    found = status(artefacts_root(options), wanted)
    if not found.usable or found.artefact is None:
        kind = ModelMissing if found.state is ArtefactState.ABSENT else ArtefactUnusable
        raise kind(found.message, found.remedy)
    return _with_fast(found.artefact, wanted) if options.precision.value == "fast" else found.artefact


def _with_fast(artefact: Artefact, wanted: Wanted) -> Artefact:
    """``artefact`` for a run that accepts other answers for speed; where it was not measured what they are, exact."""
    fast, label = artefact.manifest.fast, artefact.manifest.label
    if artefact.notice:
        return artefact
    if fast is None:
        remedy = f"run `{wanted.command} --precision fast`"
        return replace(artefact, notice=f"{label} runs as exact: fast has not been measured; {remedy}")
    if fast.executor == "openvino" and (release := installed_release("openvino")) != fast.release:
        here = f"this is {release}" if release else "none is installed"
        return replace(artefact, notice=f"{label} runs as exact: fast needs OpenVINO {fast.release}, and {here}")
    if not fast.executor:
        return replace(artefact, notice=f"{label} runs as exact: nothing was faster here ({fast.method})")
    return artefact


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if _is_artefact(path.name) and path.is_dir())
    except OSError:
        return []


def _is_artefact(name: str) -> bool:
    return TEMPORARY not in name and not name.startswith(".")


def _candidates(root: Path, wanted: Wanted) -> list[Artefact]:
    """Those made from what is called as ``wanted`` is, the newest last."""
    named = [each for each in all_artefacts(root) if wanted.is_named_by(each.manifest)]
    return sorted(named, key=lambda each: each.manifest.created)


def _none_readable(root: Path, wanted: Wanted) -> ArtefactStatus:
    for folder in _folders(root):
        if is_named_after(wanted.stem, folder.name):
            try:
                read_manifest(folder)
            except FileNotFoundError:
                text = f"{folder} has no manifest: it is no compiled model"
            except (OSError, ValueError) as error:
                text = f"the manifest of the compiled {wanted.model} in {folder} cannot be used: {error}"
            else:
                continue
            return ArtefactStatus(wanted.model, ArtefactState.UNREADABLE, text, wanted.remedy, (str(folder),))
    return ArtefactStatus(wanted.model, ArtefactState.ABSENT, f"{wanted.model} has not been compiled", wanted.remedy)


def _stale(newest: Artefact, wanted: Wanted) -> ArtefactStatus:
    text = (
        f"{newest.manifest.label} was made from version {newest.manifest.model_version}, "
        f"and the weights here are {wanted.version}"
    )
    return ArtefactStatus(wanted.model, ArtefactState.STALE, text, wanted.remedy)


def _examined(artefact: Artefact, wanted: Wanted, full: bool, runtime: RuntimeIdentity) -> ArtefactStatus:
    manifest = artefact.manifest
    if wrong := problems(artefact.folder, manifest.files, full=full):
        texts = tuple(text for _, text in wrong)
        # A look by size finds a changed file only where its size changed; compiling anew is then a matter of course.
        remedy = f"run `{wanted.command} --compile`" if full else wanted.remedy
        return ArtefactStatus(wanted.model, wrong[0][0], f"{manifest.label}: {'; '.join(texts)}", remedy, texts)
    if difference := manifest.runtime.difference(runtime):
        state = ArtefactState.OTHER_CPU
        if manifest.runtime.onnxruntime != runtime.onnxruntime:
            state = ArtefactState.OTHER_RUNTIME
        notice = f"{manifest.label} was optimised for {difference}: its portable graphs are used, which start slower"
        told = replace(artefact, notice=f"{notice}; {wanted.remedy}, which compiles for this machine")
        return ArtefactStatus(wanted.model, state, notice, wanted.remedy, artefact=told)
    text = f"{manifest.label} is whole ({manifest.size_bytes / 1e6:.1f} MB)"
    return ArtefactStatus(wanted.model, ArtefactState.COMPILED, text, artefact=artefact)


def _problem(folder: Path, file: ArtefactFile, full: bool) -> tuple[ArtefactState, str] | None:
    path = folder / file.path
    try:
        if text := wrong_size(folder, file):
            return ArtefactState.CHANGED_FILE, text
        if full and measure(path).sha256 != file.sha256:
            return ArtefactState.CHANGED_FILE, f"{path} was changed: its hash is another one"
    except FileNotFoundError:
        return ArtefactState.MISSING_FILE, f"{path} is missing"
    except OSError as error:
        return ArtefactState.MISSING_FILE, f"{path} cannot be read: {error.strerror}"
    return None


def _words(runtime: RuntimeIdentity) -> tuple[str, ...]:
    return runtime.onnxruntime, runtime.provider, runtime.architecture, *runtime.cpu_features
