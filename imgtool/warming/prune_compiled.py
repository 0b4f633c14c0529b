"""Which compiled models nobody needs any more: superseded ones, damaged ones, and what killed compiles left."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.artefacts.find import Artefact, all_artefacts, artefacts_root, problems, status
from imgtool.artefacts.install import is_only_copy
from imgtool.artefacts.requested_model import stem_of, wanted_blip, wanted_easyocr
from imgtool.artefacts.runtime_identity import RuntimeIdentity, this_runtime
from imgtool.errors import ImgtoolError
from imgtool.files import TEMPORARY
from imgtool.warming.prune import STALE_SECONDS, Plan, Removal, size_of

if TYPE_CHECKING:
    from imgtool.options import EngineOptions


def plan_prune_compiled(root: Path, runtime: RuntimeIdentity | None = None, in_use: Collection[Path] = ()) -> Plan:
    """What to remove below ``root``, to be executed with ``ModelStore.at(root)``.

    Of each model the newest whole one stays, and beside it those for other processors: machines may share the folder.
    One for an onnxruntime that is no longer installed stays only where there is nothing newer. The folders ``in_use``
    stay in any case.
    """
    runtime = runtime or this_runtime()
    whole = [each for each in all_artefacts(root) if not problems(each.folder, each.manifest.files, full=False)]
    superseded = [each for each in _superseded(whole, runtime) if each.folder not in in_use]
    removals = [*_leftovers(root, {each.folder for each in whole}), *map(_removal, superseded)]
    before = sum(size_of(path) for path in _folders(root))
    return Plan(tuple(removals), before, None)


def in_use(options: EngineOptions) -> list[Path]:
    """The folders of what a run with ``options`` would open, which need not be the newest: a revision may be pinned."""
    root, found = artefacts_root(options), []
    for wanted in (wanted_blip, wanted_easyocr):
        with suppress(ImgtoolError):  # options that make no sense use none
            if (artefact := status(root, wanted(options)).artefact) is not None:
                found.append(artefact.folder)
    return found


def _superseded(whole: list[Artefact], runtime: RuntimeIdentity) -> Iterator[Artefact]:
    return (one for one in whole if any(_supersedes(other, one, runtime) for other in whole))


def _removal(one: Artefact) -> Removal:
    stem = stem_of(one.manifest.kind, one.manifest.model)
    return Removal(stem, "superseded", (one.folder,), size_of(one.folder))


def _supersedes(other: Artefact, one: Artefact, runtime: RuntimeIdentity) -> bool:
    new, old = other.manifest, one.manifest
    if (new.kind, new.model, new.source) != (old.kind, old.model, old.source) or new.created <= old.created:
        return False
    outdated = old.runtime.onnxruntime != runtime.onnxruntime == new.runtime.onnxruntime
    return new.runtime == old.runtime or new.model_version != old.model_version or outdated


def _leftovers(root: Path, whole: set[Path]) -> Iterator[Removal]:
    for path in _folders(root):
        stem = path.name.partition(TEMPORARY)[0].rpartition("-")[0]
        if TEMPORARY not in path.name:
            if path not in whole:
                yield Removal(stem, "damaged or unfinished", (path,), size_of(path))
        elif time.time() - path.stat().st_mtime > STALE_SECONDS and not is_only_copy(path):
            yield Removal(stem, "damaged or unfinished", (path,), size_of(path))


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []
