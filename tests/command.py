"""Runs ``imgtool`` as a user does: a fresh process, its streams, its exit code."""

from __future__ import annotations

import json
import os
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


def imgtool(*arguments: str | Path, cwd: Path | None = None, timeout: float = 120, **environ: str) -> Outcome:
    """Run ``python -m imgtool`` with ``arguments``."""
    done = subprocess.run(
        [sys.executable, "-m", "imgtool", *map(str, arguments)],
        capture_output=True,
        cwd=cwd,
        timeout=timeout,
        env={**os.environ, **environ},
        check=False,
    )
    return Outcome(ExitCode(done.returncode), done.stdout.decode(), done.stderr.decode())


def analyze(*arguments: str | Path, timeout: float = 120, **environ: str) -> Outcome:
    """Run ``imgtool analyze`` with the planted engine's JSON Lines on stdout."""
    return imgtool("analyze", *arguments, "--format", "jsonl", timeout=timeout, **environ)
