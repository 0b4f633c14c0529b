"""Processes that use a database, to be killed or to get into each other's way."""

from __future__ import annotations

import subprocess
import sys
import textwrap

_PREAMBLE = """
import sys
from imgtool.database.locate import database_at
from imgtool.database.tables import chunks
from tests.database.records import Records
database = database_at(sys.argv[1])
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs ``code`` with ``database``, whose URL is the first argument."""
    return subprocess.Popen(
        [sys.executable, "-c", _PREAMBLE + textwrap.dedent(code), *map(str, arguments)],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """What it printed; fails where it failed."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out
