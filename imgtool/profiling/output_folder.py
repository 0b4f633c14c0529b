"""The folder of a profile: its page, the profile as JSON, and files that other programs open."""

from __future__ import annotations

import errno
import json
from pathlib import Path

from imgtool.errors import OutputNotWritable
from imgtool.files import write_output
from imgtool.ground.versioned import encode
from imgtool.profiling.page import page
from imgtool.profiling.record import Profile
from imgtool.profiling.views.chrome_trace import chrome_trace

PAGE, FILE = "index.html", "profile.json"
_LOGS = ("analyze.log", "cpu.log")
_SCRATCH = ("*.imports", "*.lines", "*.trace", "trace.jsonl", "cpu.pstats", "cpu.out")
"""What the runs write, and what is removed at the end."""


def open_folder(folder: Path) -> None:
    """Make ``folder`` if need be, and prove that it can be written: before the runs, which take long.

    Raises:
        OutputNotWritable: it is a file, nothing can be written there, or it holds a file that is no profile's and has
            the name of one: that would be lost.
    """
    remedy = "name another folder with -o"
    if not any((folder / name).exists() for name in (FILE, *_LOGS)):
        for pattern in (PAGE, "trace.json", "lines.txt", *_SCRATCH):
            if found := next(folder.glob(pattern), None):
                raise OutputNotWritable(f"{found} is no file of an earlier profile and would be overwritten", remedy)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".imgtool-profile"
        probe.write_bytes(b"")
        probe.unlink()
    except FileExistsError:
        raise OutputNotWritable(f"{folder} is a file, and a profile is a folder of files", remedy) from None
    except OSError as error:
        reason = "a part of its path is a file" if error.errno == errno.ENOTDIR else error.strerror
        raise OutputNotWritable(f"{folder} cannot be written: {reason}", remedy) from error


def write_folder(folder: Path, profile: Profile) -> None:
    """Write everything that ``profile`` has, and remove what the runs wrote for it.

    Raises:
        imgtool.errors.OutputNotWritable: the disk is full, or the folder is gone.
    """
    texts = {PAGE: page(profile), FILE: encode(profile).decode()}
    if profile.phases is not None:
        trace = chrome_trace(profile.phases, profile.memory)
        texts["trace.json"] = json.dumps(trace, separators=(",", ":")) + "\n"
    if profile.memory is not None and profile.memory.lines:
        texts["lines.txt"] = profile.memory.lines
    for name, text in texts.items():
        write_output(folder / name, text.encode("utf-8", "replace"))
    for pattern in _SCRATCH:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
