"""An analyzer for the tests that tries what a worker taken over by a hostile image would try."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from imgtool.analyzers.interface import Answer
from imgtool.inference.picture import Picture
from imgtool.types import Problem
from tests.planted import Hazard, _spec


def _attempt(what: Callable[[], object]) -> str:
    try:
        opened = what()
        if hasattr(opened, "close"):
            opened.close()
    except OSError as error:
        return type(error).__name__
    return "done"


class Intruder(Hazard):
    """Says how it went: a socket, a file in the folder ``INTRUDER_FOLDER``, a temporary file, whether the process may
    gain privileges."""

    spec = _spec("intruder")

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        place = Path(os.environ["INTRUDER_FOLDER"]) / "left-behind"
        privileges = next(line for line in Path("/proc/self/status").read_text().splitlines() if "NoNewPrivs" in line)
        attempts = {"socket": socket.socket, "file": lambda: place.write_text("x"), "temporary": tempfile.TemporaryFile}
        said = ", ".join(f"{name} {_attempt(attempt)}" for name, attempt in attempts.items())
        return [f"{said}, {privileges.split()[1]}" for _ in pictures]
