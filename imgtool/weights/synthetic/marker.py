"""The mark of synthetic weights: a file beside them that says that they are random, and from which seed.

Random weights have the shapes of a real model, and so its cost; their answers mean nothing. Marked weights are never
taken for a real model: they are used only if the user asks for synthetic weights or names their folder.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from imgtool.errors import ModelLoadFailed
from imgtool.ground.versioned import read_json

NAME = "SYNTHETIC"
FILES = "files"
"""The folder of the weights in a model's own folder; it is renamed into its place whole."""
SYNTHETIC = "synthetic-"
"""How the version of every synthetic model begins."""


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """How the weights were made. ``files`` holds the MD5 of each weights file by name, which EasyOCR checks."""

    seed: int
    size: str
    files: dict[str, str] = {}

    @property
    def version(self) -> str:
        """What takes the place of a model's version in results."""
        return f"{SYNTHETIC}{self.seed}"


def write_marker(folder: Path, marker: Marker) -> None:
    """Mark ``folder`` as holding synthetic weights."""
    (folder / NAME).write_bytes(msgspec.json.encode(marker) + b"\n")


def read_marker(folder: Path) -> Marker | None:
    """The mark of ``folder``, or ``None`` where there is none.

    Raises:
        ModelLoadFailed: there is a mark, but it cannot be read.
    """
    try:
        return read_json((folder / NAME).read_bytes(), Marker)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        text = f"the mark of synthetic weights {folder / NAME} cannot be read: {error}"
        raise ModelLoadFailed(text, "make the synthetic weights again, or delete that folder") from error
