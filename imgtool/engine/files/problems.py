"""Why a path cannot be analyzed, as a :class:`Problem`: what is wrong, and what to do about it.

Codes: ``not_found``, ``permission_denied``, ``empty_file``, ``not_an_image``, ``not_a_file``,
``<extra>_extra_missing``, ``no_match`` and, for what only the system's own words describe, ``unreadable``.
"""

from __future__ import annotations

import errno
import os
import stat
from importlib.util import find_spec
from itertools import islice
from unicodedata import normalize

from imgtool.distribution import install_command
from imgtool.engine.files.other_content import looks_like, stands_for_lost
from imgtool.engine.files.words import path_of_address
from imgtool.image_formats import sniff
from imgtool.types import Problem

# Paths are strings here: they are many, and some names are no UTF-8.
# ruff: noqa: PTH110, PTH112, PTH114, PTH115, PTH118, PTH120, PTH122

_NAMES_COMPARED = 2_000
"""How many names of a folder are compared with a misspelt one: a folder of a million must not delay the message."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

NOT_THERE = frozenset({"not_found", "no_match"})
"""Codes of what was named and is not there at all."""

_EXTRAS = {
    "HEIF": ("a HEIF (HEIC) image", "heif", "pillow_heif"),
    "PDF": ("a PDF document", "pdf", "pypdfium2"),
    "JXL": ("a JPEG XL image", "jxl", "pillow_jxl"),
}
"""What needs an optional package: in words, the extra, the module."""

EMPTY = Problem("empty_file", "the file is empty (0 bytes)", "copy or download it again, or remove it")

HOLDS_NUL = Problem(
    "not_found",
    "no file can have this name: it holds a NUL byte",
    "if it comes from a list, say that the list is NUL-separated: -0",
)

NOT_A_NAME = Problem("not_found", "no file can have this name: it cannot be encoded", "check where the name comes from")


def not_an_image(head: bytes) -> Problem:
    """A file whose first bytes are ``head``, which no supported format begins with."""
    remedy = (
        "download or copy the image again (Git LFS: `git lfs pull`), or leave it out with --exclude"
        if stands_for_lost(head)
        else "convert it to one of JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC, or leave it out with --exclude"
    )
    return Problem("not_an_image", f"not an image that can be read: it looks like {looks_like(head)}", remedy)


def with_content(head: bytes) -> Problem | None:
    """What is wrong with a file whose first bytes are ``head``, if it is no image that can be read here."""
    if not head:
        return EMPTY
    kind = sniff(head)
    if kind is None:
        return not_an_image(head)
    what, extra, package = _EXTRAS.get(kind, ("", "", ""))
    if not package or find_spec(package) is not None:
        return None
    return Problem(f"{extra}_extra_missing", f"{what}, which needs an optional package", install_command(extra))


def not_a_file(mode: int) -> Problem:
    """Something that is neither file nor folder, by its ``st_mode``. It is never opened: that could wait forever."""
    kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "of an unknown kind")
    return Problem("not_a_file", f"not a file: it is {kind}", "give the path of a file or a folder")


def no_match(glob: str) -> Problem:
    """A glob that no file matches."""
    hint = "check the folder and the case of the letters; ** stands for any number of folders"
    return Problem("no_match", f"no file matches {shown(glob)}", hint)


def address(word: str) -> Problem:
    """A URL in the place of a path."""
    if (path := path_of_address(word)) is not None:
        return Problem("not_found", f"there is no file {shown(path)}, which this address names", "check the spelling")
    message = "this is a web address (URL), and imgtool does not fetch files from the network"
    return Problem("not_found", message, f"download it, for example with curl -O {shown(word)}, and give the file")


def from_os_error(error: OSError, path: str, *, folder: bool = False) -> Problem:
    """What the operating system said about ``path``, which is or should be a file (or a ``folder``)."""
    if error.errno in (errno.EACCES, errno.EPERM):
        what = "folder may not be opened" if folder else "file may not be read"
        place, mode, parent = path, "u+rx" if folder else "u+r", os.path.dirname(path)
        while parent and not os.access(parent, os.X_OK):
            place, mode, parent = parent, "u+rx", os.path.dirname(parent)
        remedy = f"as the owner of {shown(place)}, allow it with chmod {mode}, or run as a user who may"
        return Problem("permission_denied", f"permission denied: the {what}", remedy)
    if error.errno == errno.ELOOP:
        return Problem("not_found", "a symbolic link that leads back to itself", "repair or remove the link")
    if error.errno == errno.ENAMETOOLONG:
        return Problem("not_found", "no file can have this name: it is too long", "check where the name comes from")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return _not_found(path)
    said = error.strerror or str(error)
    return Problem("unreadable", f"cannot be read: {said}", "check the disk or network drive that it is on")


def _not_found(path: str) -> Problem:
    if os.path.islink(path):
        try:
            message = f"a symbolic link to {shown(os.readlink(path))}, which does not exist"
        except OSError:  # as in /proc, for what has no program
            message = "a symbolic link that leads nowhere"
        return Problem("not_found", message, "repair or remove the link")
    return Problem("not_found", "no such file or folder", "check the spelling, or whether it was moved or deleted")


def misspelt(path: str) -> Problem:
    """A path that a person gave and that does not exist, with the nearest one that does.

    Looks into the folder of the first missing part, at no more than 2,000 names.
    """
    problem = _not_found(path)
    # The part of the path that exists, the first name that does not, and what follows it.
    found, missing, rest = path.rstrip("/"), "", ""
    while found and not os.path.exists(found):
        rest = os.path.join(missing, rest) if rest else missing
        found, missing = os.path.split(found)
    if os.path.islink(path):
        return problem
    if not os.path.isdir(found or "."):
        return Problem(problem.code, f"{shown(found)} is no folder", "check the spelling of the path")
    near = _nearest(found or ".", missing)
    if near is not None:
        nearest = os.path.join(found, near)
        whole = os.path.join(nearest, rest) if rest else nearest
        remedy = f"did you mean {shown(whole if os.path.exists(whole) else nearest)}?"
    elif rest:
        remedy = f"there is no folder {shown(os.path.join(found, missing))}: check the spelling"
    else:
        remedy = f"{shown(found) or 'the current folder'} has nothing of that name: check the spelling"
    return Problem(problem.code, problem.message, remedy)


def _nearest(folder: str, name: str) -> str | None:
    """The name in ``folder`` that ``name`` may have been meant to be: other case, accents or extension, a few letters.

    Only what stands before the extension is compared: ``a.jpg`` and ``b.jpg`` are not alike for ending alike.
    """
    from difflib import get_close_matches

    def plain(text: str) -> str:
        return normalize("NFC", text).casefold()

    def stem(text: str) -> str:
        return plain(os.path.splitext(text)[0])

    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _NAMES_COMPARED)]
    except OSError:
        return None
    stems = get_close_matches(stem(name), sorted({stem(known) for known in names}), n=1, cutoff=0.75)
    alike = {plain(known): known for known in sorted(names) if stem(known) in stems}
    near = get_close_matches(plain(name), alike, n=1, cutoff=0)
    return alike[near[0]] if near else None


def shown(path: str) -> str:
    """``path`` for a message: bytes that are no UTF-8 and control characters written as escapes."""
    text = os.fsencode(path).decode("utf-8", errors="backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
