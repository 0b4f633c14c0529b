"""Runs ``imgtool`` as a container does: as a user without an entry in the password file, and with a root that nobody
may write, if wanted. Needs root and mount namespaces; nothing of this machine is changed."""

from __future__ import annotations

import os
import shlex
import shutil
import site
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from imgtool.errors import ExitCode
from tests.command import Outcome
from tests.conftest import ROOT

UID = 10001


def _reason() -> str:
    """Why it cannot be done here; empty where it can."""
    if os.geteuid() != 0:
        return "only root can become another user"
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return "there is no unshare or setpriv here"
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"mount namespaces are not permitted: {done.stderr.strip()}"


REASON = _reason()


def in_container(
    words: Sequence[str | Path],
    *,
    visible: Sequence[Path],
    read_only: bool = False,
    network: bool = True,
    uid: int = UID,
    python: Path | None = None,
    environ: dict[str, str] | None = None,
) -> Outcome:
    """Run ``python`` with ``words`` as ``uid``, with nothing in the environment but ``environ``.

    ``visible`` are folders that the user may reach although they lie in one that only root may enter; they are made
    readable for all. ``read_only``
    makes every file system read-only, and leaves no folder for temporary files.
    """
    command = [str(python or sys.executable), *map(str, words)]
    namespaces = ["unshare", "--mount", *([] if network else ["--net"])]
    identity = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    script = "\n".join(["set -e", *_mounts(visible, read_only=read_only), 'exec "$@"'])
    done = subprocess.run(
        [*namespaces, "sh", "-c", script, "sh", *identity, *command],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        cwd="/",
    )
    return Outcome(ExitCode(done.returncode), done.stdout, done.stderr)


def _mounts(visible: Sequence[Path], *, read_only: bool) -> list[str]:
    """Shell lines that let everybody reach Python, the packages, this checkout and ``visible``."""
    libraries = [Path(folder) for folder in (*site.getsitepackages(), *sys.path) if Path(folder).is_dir()]
    wanted = [Path(sys.base_prefix), Path(sys.prefix), ROOT, *libraries, *visible]
    hidden: dict[Path, list[Path]] = {}
    for folder in dict.fromkeys(path.resolve() for path in wanted):
        above = [parent for parent in (*reversed(folder.parents), folder) if not parent.stat().st_mode & 0o001]
        if above:
            hidden.setdefault(above[0], []).append(folder)
    lines = ["mount -t tmpfs tmpfs /mnt"]
    places: list[str] = []
    for number, folder in enumerate(each for folders in hidden.values() for each in folders):
        lines.append(f"mkdir /mnt/{number} && mount --bind {shlex.quote(str(folder))} /mnt/{number}")
        places.append(str(folder))
    lines += [f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(above))}" for above in hidden]
    for number, place in enumerate(places):
        lines.append(f"mkdir -p {shlex.quote(place)} && mount --bind /mnt/{number} {shlex.quote(place)}")
    lines.append("umount -R -l /mnt")
    lines += [f"chmod a+rx {shlex.quote(str(folder.resolve()))}" for folder in visible]
    if read_only:
        mounted = ["/", *map(str, hidden), *places]
        lines += [f"mount -o remount,bind,ro {shlex.quote(place)}" for place in mounted]
    return lines
