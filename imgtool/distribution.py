"""How this copy of imgtool was installed, and the command that adds to it or repairs it. Remedies print that command.

The distribution is called ``imgtool-batch``, because ``imgtool`` on the package index is another program. Its metadata
are read only when a remedy is made. :func:`installed_release` tells the release of a library.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

NAME = "imgtool-batch"
"""The name in ``pyproject.toml``, for a copy of the package that has neither metadata nor a checkout."""

_ENTRY_POINT = "imgtool.__main__:main"


@cache
def install_command(*extras: str, again: bool = False) -> str:
    """The shell command that installs this copy of imgtool with ``extras``; ``again`` even where it is installed.

    It names what this copy came from: its checkout, or the folder, archive or repository that the installer was given
    (PEP 610), or else the name of the distribution. If that folder or archive is gone, it lists the requirements.
    """
    root = Path(__file__).resolve().parents[1]
    return pip_install(*(["--force-reinstall"] if again else []), *_what_to_install(root, extras))


def pip_install_elsewhere(requirement: str) -> str:
    """``pip install`` with ``requirement``, quoted for a shell, as a person types it on another machine."""
    from shlex import join

    return join(["pip", "install", requirement])


def pip_install(*words: str) -> str:
    """``pip install`` with ``words``, quoted for a shell, for the interpreter that runs now.

    Plain ``pip`` is the right one only in an activated virtual environment; elsewhere the command names Python itself.
    In an environment without pip, which uv makes, the command uses uv, or installs pip first.
    """
    from importlib.util import find_spec
    from shlex import join, quote
    from shutil import which

    python, first = quote(sys.executable), which("pip")
    if find_spec("pip") is None and which("uv"):
        start = f"uv pip install --python {python}"
    elif find_spec("pip") is None:
        start = f"{python} -m ensurepip && {python} -m pip install"
    elif first is not None and sys.prefix != sys.base_prefix and Path(first).parent == Path(sys.executable).parent:
        start = "pip install"
    else:
        start = f"{python} -m pip install"
    return f"{start} {join(words)}"


@cache
def installed_release(package: str) -> str:
    """The installed release of ``package``, or nothing; does not import it.

    It is what ``__init__.py`` states, or else part of the name of the metadata's folder.
    """
    import re
    from importlib.util import find_spec

    try:
        found = find_spec(package)
        origin = Path(found.origin) if found is not None and found.origin else None
        stated = origin.read_text(encoding="utf-8") if origin is not None else ""
    except (OSError, ValueError, ImportError):
        return ""
    if origin is None:
        return ""
    if match := re.search(r"^__version__\s*=\s*[\"']([^\"']+)", stated, re.MULTILINE):
        return match[1]
    names = (path.name for path in origin.parent.parent.glob(f"{package}-*.dist-info"))
    return next((name.removesuffix(".dist-info").rpartition("-")[2] for name in names), "")


def _what_to_install(root: Path, extras: tuple[str, ...]) -> list[str]:
    """The words for pip. ``root`` is the folder that this package lies in."""
    import json
    from urllib.parse import unquote, urlsplit

    suffix = f"[{','.join(extras)}]" if extras else ""
    folder = _metadata_in(root)
    if folder is None:
        is_checkout = (root / "pyproject.toml").is_file()
        return ["--editable", f"{root}{suffix}"] if is_checkout else [NAME + suffix]
    (name,) = _field(folder, "Name")
    try:
        origin = json.loads((folder / "direct_url.json").read_text(encoding="utf-8"))  # PEP 610
    except FileNotFoundError:  # it came from an index
        return [name + suffix]
    url, repository = origin["url"], origin.get("vcs_info")
    if repository or not url.startswith("file:"):
        address = f"{repository['vcs']}+{url}@{repository['commit_id']}" if repository else url
        fragment = f"#subdirectory={origin['subdirectory']}" if "subdirectory" in origin else ""
        return [f"{name}{suffix} @ {address}{fragment}"]
    path = Path(unquote(urlsplit(url).path))
    return [f"{path}{suffix}"] if path.exists() else _requirements(folder, name, extras)


def _metadata_in(root: Path) -> Path | None:
    """The metadata in ``root`` of the distribution with our command. MCUboot's imgtool, of the same name, has another.

    They are read as files: importing :mod:`importlib.metadata` takes 15 ms, and a run in which one engine stands in
    for another makes a remedy.
    """
    ours_first = sorted(root.glob("*.dist-info/entry_points.txt"), key=lambda each: "imgtool" not in each.parent.name)
    found = (each.parent for each in ours_first if _ENTRY_POINT in each.read_text(encoding="utf-8"))
    return next(found, None)


def _field(folder: Path, name: str) -> list[str]:
    """The values of a field of ``METADATA``; the text after the first empty line is the description."""
    head = (folder / "METADATA").read_text(encoding="utf-8").partition("\n\n")[0]
    return [value for key, _, value in (line.partition(": ") for line in head.splitlines()) if key == name]


def _requirements(folder: Path, name: str, extras: tuple[str, ...]) -> list[str]:
    """What the metadata require for ``extras``, or for imgtool itself if there are none."""
    import re

    wanted: list[str] = []
    for line in _field(folder, "Requires-Dist"):
        requirement, _, marker = line.partition(";")
        extra = re.search(r"\bextra == ['\"](.+?)['\"]", marker)
        if (extra[1] if extra else None) not in (extras or (None,)):
            continue
        if own := re.match(rf"{re.escape(name)}\[(.+?)\]", requirement):
            wanted += _requirements(folder, name, tuple(own[1].split(",")))
        else:
            wanted.append(requirement.strip())
    return wanted
