"""Synthetic models for a benchmark: made by ``imgtool warm-cache`` in a process of its own, as a user would."""

from __future__ import annotations

import subprocess
import sys

from imgtool.bench.measure.child import ChildFailed
from imgtool.errors import ExitCode
from imgtool.ground.fresh import imgtool_command
from imgtool.options import EngineOptions


def make_models(options: EngineOptions) -> None:
    """Make the weights that ``options`` ask for and compile them, unless they are there already. Its output goes to
    stderr.

    Raises:
        ChildFailed: it failed.
    """
    words = [
        "warm-cache",
        *("--weights", options.weights.value, "--scale", options.scale.value),
        *("--languages", ",".join(options.languages)),
    ]
    # Not to stdout, which belongs to the figures.
    done = subprocess.run(imgtool_command(words), stdout=sys.stderr, check=False)
    if done.returncode:
        raise ChildFailed(
            "the synthetic models could not be made",
            "see its output above; or name arms that need none, such as --arm slim='--text-engine rapidocr'",
            ExitCode.MODEL_MISSING,
        )
