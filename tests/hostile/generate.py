"""Writes hostile files into a folder: ``python -m tests.hostile.generate FOLDER --malformed 5000 --rare 500``."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.hostile.malformed import malformed_files
from tests.hostile.rare import rare_files

MALFORMED, RARE = "malformed", "rare"
"""The folders that they are written into."""


def write(folder: Path, malformed: int, rare: int, seed: int) -> None:
    """Write so many files of each kind below ``folder``."""
    for name, files in ((MALFORMED, malformed_files(malformed, seed)), (RARE, rare_files(rare, seed))):
        (folder / name).mkdir(parents=True)
        for file, content in files:
            (folder / name / file).write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--malformed", type=int, default=5_000)
    parser.add_argument("--rare", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write(options.folder, options.malformed, options.rare, options.seed)


if __name__ == "__main__":
    main()
