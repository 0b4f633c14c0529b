"""What stands in for the functions that make synthetic weights: they run in the process that would make them."""

from __future__ import annotations

import os
from pathlib import Path


def make_whole(folder: str, size: str) -> None:
    (Path(folder) / "SYNTHETIC").write_text('{"seed": 0, "size": "tiny"}')
    (Path(folder) / "w").write_text("1")


def refuse(folder: str, size: str) -> None:
    raise SystemExit("planted trouble")


def make_half(folder: str, size: str) -> None:
    (Path(folder) / "w").write_text("1")
    os._exit(9)


def make_nothing(folder: str, size: str) -> None:
    """As if all had gone well."""
