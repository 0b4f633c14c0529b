"""A process that restricts itself: what it can no longer do, and what it still can."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imgtool.ground import sandbox

pytestmark = pytest.mark.skipif(not sandbox.support().complete, reason=f"not here: {sandbox.support().lacking}")

_CHILD = """
import ctypes, json, os, socket, subprocess, sys, threading
from imgtool.ground.sandbox import restrict

inside, outside, program = sys.argv[1:]
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
restrict([inside, "/nowhere/at/all"])
libc = ctypes.CDLL(None, use_errno=True)

def called(number, *words):
    if libc.syscall(number, *words) < 0:
        raise OSError(ctypes.get_errno(), "")

ATTEMPTS = {
    "write inside": lambda: open(inside + "/new", "w").write("x"),
    "make a folder inside": lambda: os.mkdir(inside + "/folder"),
    "move inside": lambda: os.rename(inside + "/new", inside + "/folder/new"),
    "remove inside": lambda: os.unlink(inside + "/folder/new"),
    "read outside": lambda: open(outside + "/kept").read(),
    "write to /dev/null": lambda: open("/dev/null", "w").write("x"),
    "run a program": lambda: subprocess.run(["true"], check=True),
    "start a thread": lambda: threading.Thread(target=int).start(),
    "talk to a child": lambda: socket.socketpair(),
    "write outside": lambda: open(outside + "/new", "w"),
    "append outside": lambda: open(outside + "/kept", "a"),
    "shorten outside": lambda: os.truncate(outside + "/kept", 0),
    "remove outside": lambda: os.unlink(outside + "/kept"),
    "link outside": lambda: os.symlink("/", outside + "/link"),
    "move outside": lambda: os.rename(inside + "/folder", outside + "/folder"),
    "change modes": lambda: os.chmod(outside + "/kept", 0o600),
    "change times": lambda: os.utime(outside + "/kept"),
    "open a socket": lambda: socket.socket(),
    "open a local socket": lambda: socket.socket(socket.AF_UNIX),
    "signal the parent": lambda: os.kill(os.getppid(), 0),
    "trace the parent": lambda: called(101 if os.uname().machine == "x86_64" else 117, 16, os.getppid(), 0, 0),
    "have name spaces": lambda: called(272 if os.uname().machine == "x86_64" else 97, 0x10000000),
    "use io_uring": lambda: called(425, 1, 0),
}
found = {}
for name, attempt in ATTEMPTS.items():
    try:
        attempt()
        found[name] = "done"
    except OSError as error:
        found[name] = type(error).__name__
found["who"] = subprocess.run([program], capture_output=True, text=True).stdout.strip()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """How each attempt ended, ``who`` a program ran as, and what is ``left`` outside."""
    folder = tmp_path_factory.mktemp("sandbox")
    inside, outside, program = folder / "inside", folder / "outside", folder / "who"
    for place in (inside, outside):
        place.mkdir()
        place.chmod(0o777)
    (outside / "kept").write_text("kept")
    (outside / "kept").chmod(0o666)
    # Says who it runs as; where the tests run as root it is root's, and takes whoever starts it for root.
    shutil.copy(shutil.which("whoami") or "whoami", program)
    program.chmod(0o4755)
    for above in (folder, *folder.parents):
        if above.stat().st_uid == os.geteuid() and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o055)
    command = [sys.executable, "-c", _CHILD, inside, outside, program]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    left = {path.name: path.read_text() for path in outside.iterdir() if path.is_file()}
    return {**json.loads(done.stdout), "left": left}


def test_what_is_needed_can_be_done(found: dict[str, Any]) -> None:
    assert {name for name, end in found.items() if end == "done"} == {
        *("write inside", "make a folder inside", "move inside", "remove inside", "read outside"),
        *("write to /dev/null", "run a program", "start a thread", "talk to a child"),
    }


def test_everything_else_is_refused(found: dict[str, Any]) -> None:
    refused = {name: end for name, end in found.items() if end != "done" and name not in ("who", "left")}
    assert len(refused) == 14 and found["left"] == {"kept": "kept"}
    # Moving between folders of different rights is refused as if they lay on different disks.
    assert set(refused.values()) <= {"PermissionError", "OSError"}
    assert [name for name, end in refused.items() if end == "OSError"] in ([], ["move outside"])


def test_a_program_that_runs_as_its_owner_gains_nothing(found: dict[str, Any]) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a program that runs as somebody else")
    assert found["who"] == "nobody"


def test_a_kernel_that_has_none_of_it_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    class OldKernel:
        def syscall(self, *_: object) -> int:
            return -1

        def prctl(self, *_: object) -> int:
            return 0

    monkeypatch.setattr(sandbox, "_libc", OldKernel)
    found = sandbox.support()
    assert not found.complete and "Landlock" in found.lacking
    with pytest.raises(sandbox.SandboxRefused, match="Landlock"):
        sandbox.restrict(())
