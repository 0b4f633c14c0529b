"""The arm ``cached``: a cache of its own, filled once, before anything is measured."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import msgspec

from imgtool.bench.experiment import Contender
from imgtool.options import EngineOptions, cache_root


def filled(contender: Contender, options: EngineOptions, folder: Path, timeout: float) -> Contender:
    """``contender`` with a cache in ``folder`` that holds its answers, by running its command once.

    Whether that worked is not asked here: a sample of it that loads a model is a failed one.
    """
    folder.mkdir(parents=True)
    models = cache_root(options).absolute() / "models"
    if models.is_dir():
        # Compiled models lie beside the answers; the arm is to have them, and an empty place for its answers.
        (folder / "models").symlink_to(models, target_is_directory=True)
    arm = msgspec.structs.replace(contender.arm, command=(*contender.arm.command, "--cache-dir", str(folder)))
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(
            arm.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    return Contender(arm, contender.weights)  # no model is read: there is nothing to bring into the page cache
