"""Which compiled models nobody needs any more: superseded ones, damaged ones, and what killed compiles left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from imgtool.models.artefacts import Artefact, all_artefacts
from imgtool.models.atomic import TEMPORARY
from imgtool.models.compile_install import is_only_copy
from imgtool.models.prune import STALE_SECONDS, Plan, Removal, size_of
from imgtool.models.runtime_identity import RuntimeIdentity, this_runtime
from imgtool.models.wanted import stem_of


def plan_prune_compiled(root: Path, runtime: RuntimeIdentity | None = None) -> Plan:
    """What to remove below ``root``, to be executed with ``ModelStore.at(root)``.

    Of each model the newest stays, and beside it those for other processors: machines may share the folder. One for
    an onnxruntime that is no longer installed stays only where there is nothing newer.
    """
    runtime = runtime or this_runtime()
    whole = list(all_artefacts(root))
    removals = [*_leftovers(root, {each.folder for each in whole}), *_superseded(whole, runtime)]
    before = sum(size_of(path) for path in _folders(root))
    return Plan(tuple(removals), before, None)


def _superseded(whole: list[Artefact], runtime: RuntimeIdentity) -> Iterator[Removal]:
    for one in whole:
        if any(_supersedes(other, one, runtime) for other in whole):
            manifest = one.manifest
            stem = stem_of(manifest.kind, manifest.model)
            yield Removal(stem, "superseded", (one.folder,), size_of(one.folder))


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
