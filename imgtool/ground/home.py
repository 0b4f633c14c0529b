"""Where files of a user go who has no home, and how a user chooses another place than one that may not be used."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """``path`` with ``~`` replaced by the home of the user, or by :func:`without_home`."""
    path = Path(path)
    try:
        return path.expanduser()
    except RuntimeError:  # how Python says that a user has no home
        first, *rest = path.parts
        return without_home().joinpath(*rest) if first == "~" else path


def without_home() -> Path:
    """The folder that stands in for a home: the user's own one among temporary files. It need not exist."""
    import tempfile

    try:
        place = Path(tempfile.gettempdir())
    except OSError:  # nothing can be written anywhere
        place = Path("/tmp")  # noqa: S108 - a folder of the user's own below it
    return place / f"imgtool-{os.geteuid()}"


def has_home() -> bool:
    """Whether the user has a home, by ``HOME`` or the password file."""
    return os.path.expanduser("~") != "~"  # noqa: PTH111 - pathlib's raises


def mended_by(path: str | bytes | Path, *, read_only: bool = False) -> str:
    """What a user can do about a file or folder that may not be used: a command that needs no rights, and one for root.

    ``read_only`` says that its file system is.
    """
    place = Path(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 - no link is to be followed
    variables = ("EASYOCR_MODULE_PATH", "HF_HUB_CACHE", "HF_HOME")
    inside = (name for name in variables if os.environ.get(name) and place.is_relative_to(os.environ[name]))
    own = without_home()
    other = f"choose another place: `export {next(inside, 'IMGTOOL_CACHE_DIR')}={shlex.quote(str(own))}`"
    if not os.access(own.parent, os.W_OK):
        other = f"mount a folder that may be written (`docker run --tmpfs {own.parent}`), and {other}"
    # The highest folder on the way that may not be entered, else the lowest that exists.
    above = [*reversed(place.parents), place]
    there = [folder for folder in above if os.path.isdir(folder)]  # noqa: PTH112 - pathlib's raises
    owned = next((folder for folder in there if not os.access(folder, os.X_OK)), there[-1])
    if read_only or len(owned.parts) < 3:  # nobody should be given /var
        return other
    return f"{other}, or as root give it to this user: chown -R {os.geteuid()} {shlex.quote(str(owned))}"
