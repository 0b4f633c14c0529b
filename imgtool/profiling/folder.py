"""The folder of a profile: its page, its pictures, and the files that other programs open."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imgtool.errors import OutputNotWritable
from imgtool.files import replacing
from imgtool.ground.versioned import encode
from imgtool.profiling.compare import FILE, Change
from imgtool.profiling.page.html import page
from imgtool.profiling.page.pictures import all_pictures
from imgtool.profiling.page.svg import document
from imgtool.profiling.record import Profile
from imgtool.profiling.views.chrome_trace import chrome_trace
from imgtool.profiling.views.speedscope import speedscope
from imgtool.profiling.views.stacks import unfolded

PAGE = "index.html"


def open_folder(folder: Path) -> Path:
    """``folder``, made if need be, and proven to be writable: before the runs, which take long.

    Raises:
        OutputNotWritable: it is a file, or nothing can be written there.
    """
    remedy = "name another folder with -o"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".imgtool-profile"
        probe.write_bytes(b"")
        probe.unlink()
    except FileExistsError:
        raise OutputNotWritable(f"{folder} is a file, and a profile is a folder of files", remedy) from None
    except OSError as error:
        named = "a file stands in its way" if error.errno == errno.ENOTDIR else error.strerror
        raise OutputNotWritable(f"{folder} cannot be written: {named}", remedy) from error
    return folder


def write_folder(folder: Path, profile: Profile, changed: Sequence[Change] | None) -> list[Path]:
    """Write everything that ``profile`` has; returns the files for people, the page first.

    Raises:
        OutputNotWritable: the disk is full, or the folder went.
    """
    texts = {PAGE: page(profile, changed), FILE: encode(profile).decode(), **_for_programs(profile), **_drawn(profile)}
    try:
        for name, text in texts.items():
            with replacing(folder / name) as file:
                file.write(text.encode("utf-8", "replace"))
    except OSError as error:
        raise OutputNotWritable(f"{folder} cannot be written: {error.strerror}", "free some space") from error
    _clear_up(folder)
    return [folder / name for name in texts]


def _drawn(profile: Profile) -> dict[str, str]:
    drawn = all_pictures(profile.phases, profile.memory, profile.cpu, profile.imports)
    return {f"{name}.svg": document(each.body, each.height, each.title) for name, each in drawn.items()}


def _for_programs(profile: Profile) -> dict[str, str]:
    found: dict[str, str] = {}
    if profile.phases is not None:
        found["trace.json"] = _json(chrome_trace(profile.phases, profile.memory))
    if profile.cpu is not None and profile.cpu.stacks:
        stacks = unfolded(profile.cpu.stacks)
        found["cpu.speedscope.json"] = _json(speedscope(stacks, max(1, profile.cpu.rate), " ".join(profile.command)))
    if profile.memory is not None and profile.memory.lines:
        found["lines.txt"] = profile.memory.lines
    return found


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def _clear_up(folder: Path) -> None:
    """What the runs left for us to read is in the profile now."""
    for pattern in ("*.imports", "*.lines", "imports.trace", "trace.jsonl", "cpu.pstats", "cpu.out", "analyze.py"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
