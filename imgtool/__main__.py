"""``python -m imgtool``, and the entry point of the ``imgtool`` script.

Where a worker will surely be needed its process starts before the command line itself is imported: the two go through
their starts side by side.
"""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command that ``sys.argv`` holds."""
    # A run from the cache makes and drops a hundred objects an image: looking for cycles after each 700 takes 4 %.
    gc.set_threshold(10_000, 20, 20)
    from imgtool.cli.analyze.early_worker import restriction, runs_on_torch, surely_needs_worker

    if surely_needs_worker(sys.argv[1:]):
        from imgtool.runtime.start_process import Restriction, start_ahead

        without = restriction(sys.argv[1:])
        library = "torch" if runs_on_torch(sys.argv[1:]) else "onnxruntime"
        start_ahead(library, None if without is None else Restriction(*without))
    from imgtool.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
