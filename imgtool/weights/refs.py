"""What a branch stands for in the hub's cache: the small file that lets upstream's libraries find a model by name."""

from __future__ import annotations

import re

from imgtool.files import write_atomically
from imgtool.weights.manifest import Manifest, Origin
from imgtool.weights.places import Places

_COMMIT = re.compile(r"[0-9a-f]{40}")


def name_revision(manifest: Manifest, places: Places) -> None:
    """Write down in the hub's cache which commit the revision of ``manifest`` stands for, as its own library does.

    Models are fetched by commit, and then that library leaves the name of the branch out. Does nothing where the
    name is right already, or where the model came from elsewhere.

    Raises:
        imgtool.errors.StoreNotWritable: the cache cannot be written.
    """
    if manifest.origin is not Origin.HUB or manifest.commit is None or _COMMIT.fullmatch(manifest.revision):
        return
    path = places.hub / manifest.base.partition("/")[0] / "refs" / manifest.revision
    try:
        if path.read_text(encoding="utf-8").strip() == manifest.commit:
            return
    except (OSError, ValueError):
        pass
    write_atomically(path, manifest.commit.encode())
