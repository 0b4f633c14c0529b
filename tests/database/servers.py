"""A real PostgreSQL server for the tests: its own folder, a socket and no port, ended with the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

_AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
_OPTIONS = "-c listen_addresses='' -c fsync=off -c shared_buffers=32MB -c max_connections=40 -c autovacuum=off"


def why_not() -> str:
    """What keeps a server from being started here; empty where nothing does."""
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        return f"psycopg is not installed ({error})"
    if _program("initdb") is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "initdb refuses root, and there is no setpriv to become somebody else"
    return ""


def _program(name: str) -> str | None:
    if (found := shutil.which(name)) is not None:
        return found
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(places[-1]) if places else None


class Server:
    """A server in a temporary folder."""

    def __init__(self, locale: str = "C.UTF-8") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="imgtool-pg-"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody", "nogroup")
        self._data = self.folder / "data"
        self._run("initdb", "-D", self._data, "-N", "-E", "UTF8", f"--locale={locale}", "-A", "trust", "-U", "tests")

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-k {self.folder} {_OPTIONS}"
        self._run("pg_ctl", "-D", self._data, "-w", "-s", "-l", self.folder / "log", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: ``fast`` ends connections, ``immediate`` is a crash."""
        self._run("pg_ctl", "-D", self._data, "-w", "-s", "-m", mode, "stop")

    def remove(self) -> None:
        """Stop it and remove its folder."""
        subprocess.run(
            self._command("pg_ctl", "-D", self._data, "-m", "immediate", "stop"), capture_output=True, check=False
        )
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, name: str = "postgres") -> str:
        """The URL of a database."""
        return f"postgresql://tests@/{name}?host={self.folder}"

    def create(self, name: str, *options: str) -> str:
        """Create a database; returns its URL."""
        self.client("createdb", "--template=template0", *options, name)
        return self.url(name)

    def client(self, program: str, *arguments: str | Path) -> str:
        """Run one of PostgreSQL's own programs against the server; what it printed."""
        found = _program(program)
        assert found is not None
        command = [found, "-h", str(self.folder), "-U", "tests", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def _run(self, program: str, *arguments: str | Path) -> None:
        # Its output goes nowhere: a server that inherits a pipe keeps it open.
        subprocess.run(
            self._command(program, *arguments),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )

    def _command(self, program: str, *arguments: str | Path) -> list[str]:
        found = _program(program)
        assert found is not None
        return [*(_AS_NOBODY if os.geteuid() == 0 else []), found, *map(str, arguments)]
