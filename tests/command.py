"""Runs ``imgtool`` as a user does: a fresh process, its streams, its exit code."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgtool.errors import ExitCode


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: ExitCode
    out: str
    err: str

    @property
    def results(self) -> list[dict[str, Any]]:
        """The results, where the command printed JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    def stats(self, path: Path) -> Any:
        """The statistics that ``--stats`` wrote to ``path``."""
        return json.loads(path.read_text())


_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2


def obey_permissions() -> None:
    """For ``preexec_fn``: let permission bits bind root too, by dropping the capabilities that override them.

    Root's own files stay readable, which a change of user would not leave so where Python lives in root's home.
    """
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def heed_signals() -> None:
    """For ``preexec_fn``: what a shell starts in the background ignores Ctrl-C, and so would what the tests start."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def imgtool(
    *arguments: str | Path, cwd: Path | None = None, timeout: float = 120, bound: bool = False, **environ: str
) -> Outcome:
    """Run ``python -m imgtool`` with ``arguments``; ``bound`` by permissions even as root."""
    done = subprocess.run(
        [sys.executable, "-m", "imgtool", *map(str, arguments)],
        capture_output=True,
        cwd=cwd,
        timeout=timeout,
        env={**os.environ, **environ},
        check=False,
        preexec_fn=obey_permissions if bound else None,
    )
    return Outcome(ExitCode(done.returncode), done.stdout.decode(), done.stderr.decode())


def analyze(*arguments: str | Path, timeout: float = 120, bound: bool = False, **environ: str) -> Outcome:
    """Run ``imgtool analyze`` with JSON Lines on stdout."""
    return imgtool("analyze", *arguments, "--format", "jsonl", timeout=timeout, bound=bound, **environ)
