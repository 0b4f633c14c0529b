"""What runs around the samples of an arm: its setup, its preparation before each run, its cleanup."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence

from imgtool.bench.data.record import Arm
from imgtool.errors import ExitCode, ImgtoolError
from imgtool.formats.clean import printable
from imgtool.runtime.process import describe_exit

_TAIL_BYTES, _TAIL_LINES = 4000, 8


class AroundFailed(ImgtoolError):
    """A command of ``--setup``, ``--prepare`` or ``--cleanup`` failed: what follows would measure something else."""

    exit_code = ExitCode.NONE_ANSWERED


def run_around(arm: Arm, name: str, command: Sequence[str]) -> None:
    """Run ``command``, the ``name`` of ``arm``, to its end; nothing if there is none.

    What it starts in the background goes on, such as a server. Its output is not shown, unless it fails.

    Raises:
        AroundFailed: it cannot be started, or its exit code is not 0.
    """
    if not command:
        return
    # A file, not a pipe: what goes on in the background may keep it open.
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
        except OSError as error:
            raise AroundFailed(
                f"--{name} of {arm.name} could not be started: {command[0]}: {error.strerror}",
                "check its name and its permissions; what a shell defines needs --shell",
            ) from error
        if done.returncode:
            output.seek(max(0, output.tell() - _TAIL_BYTES))
            tail = output.read().decode("utf-8", "replace").strip().splitlines()[-_TAIL_LINES:]
            said = "".join(f"\n    {printable(line)}" for line in tail)
            raise AroundFailed(
                f"--{name} of {arm.name} {describe_exit(done.returncode)}{said}",
                "make it succeed; with --shell, a command that may fail can end with: || true",
            )
