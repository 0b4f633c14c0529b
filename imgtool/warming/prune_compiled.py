"""Which compiled models to remove: superseded ones, damaged ones, and leftovers of killed compiles."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.artefacts.find import all_artefacts, artefacts_root, folders, problems, status
from imgtool.artefacts.install import is_only_copy
from imgtool.artefacts.manifest import ArtefactManifest
from imgtool.artefacts.requested_model import requested_blip, requested_easyocr, stem_of
from imgtool.artefacts.runtime_identity import RuntimeIdentity, this_runtime
from imgtool.errors import ImgtoolError
from imgtool.files import STALE_SECONDS, TEMPORARY
from imgtool.warming.prune import PrunePlan, Removal, size_of

if TYPE_CHECKING:
    from imgtool.options import EngineOptions


def plan_prune_compiled(root: Path, in_use: Collection[Path] = ()) -> PrunePlan:
    """What to remove below ``root``, to be executed with ``ModelStore.at(root)``.

    The newest complete version of each model stays, and so do those for other processors, because machines may share
    the folder. One for an onnxruntime that is no longer installed stays only if there is nothing newer. The folders
    ``in_use`` always stay.
    """
    runtime, removals, found = this_runtime(), [], folders(root, unfinished=True)
    whole = [each for each in all_artefacts(root) if not problems(each.folder, each.manifest.files, full=False)]
    intact = {each.folder for each in whole}
    for path in found:
        if TEMPORARY not in path.name:
            left = path not in intact
        else:
            left = time.time() - path.stat().st_mtime > STALE_SECONDS and not is_only_copy(path)
        if left:
            stem = path.name.partition(TEMPORARY)[0].rpartition("-")[0]
            removals.append(Removal(stem, "damaged or unfinished", (path,), size_of(path)))
    for one in whole:
        superseded = any(_supersedes(other.manifest, one.manifest, runtime) for other in whole)
        if superseded and one.folder not in in_use:
            stem = stem_of(one.manifest.kind, one.manifest.model)
            removals.append(Removal(stem, "superseded", (one.folder,), size_of(one.folder)))
    return PrunePlan(tuple(removals), sum(map(size_of, found)), None)


def in_use(options: EngineOptions) -> list[Path]:
    """The folders that a run with ``options`` would open. They need not be the newest: a revision may be pinned."""
    root, found = artefacts_root(options), []
    for requested in (requested_blip, requested_easyocr):
        with suppress(ImgtoolError):  # options that make no sense use none
            if (artefact := status(root, requested(options)).artefact) is not None:
                found.append(artefact.folder)
    return found


def _supersedes(new: ArtefactManifest, old: ArtefactManifest, runtime: RuntimeIdentity) -> bool:
    if (new.kind, new.model, new.source) != (old.kind, old.model, old.source) or new.created <= old.created:
        return False
    outdated = old.runtime.onnxruntime != runtime.onnxruntime == new.runtime.onnxruntime
    return new.runtime == old.runtime or new.model_version != old.model_version or outdated
