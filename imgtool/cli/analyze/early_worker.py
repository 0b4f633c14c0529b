"""Whether a command will surely need a worker, told from its words alone, before anything else is imported.

Wrong only in one direction: where it says no, the worker starts a little later, as it would without this.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

_OFF = {"0", "no", "off", "false"}
_WITHOUT_WORKER = {"-h", "--help", "--help-all", "--retry-failed", "--no-isolate"}


def surely_needs_worker(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> bool:
    """Whether no result that ``arguments`` ask for can come from the cache: it is off, or does not exist yet, and none
    is shared. A service loads its models as it starts."""
    if not arguments or not _WITHOUT_WORKER.isdisjoint(arguments):
        return False
    if environ.get("IMGTOOL_CLUSTER") or any(word.startswith("--cluster") for word in arguments):
        return False
    if arguments[0] != "analyze" or len(arguments) < 2:
        return arguments[0] == "serve" and "keys" not in arguments
    if "--no-cache" in arguments or environ.get("IMGTOOL_CACHE", "").lower() in _OFF:
        return True
    if environ.get("IMGTOOL_SHARED_CACHE") or any(word.startswith("--shared-cache") for word in arguments):
        return False
    root = _cache_root(arguments, environ)
    return root is not None and not os.path.exists(root / "results")  # noqa: PTH110 - what nobody may enter is not there


def runs_on_torch(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> bool:
    """Whether ``arguments`` ask for upstream's own libraries, which take seconds to import."""
    words = " ".join(arguments).replace("--backend=", "--backend ").split()
    named = [value for word, value in pairwise(words) if word == "--backend"]
    return (named or [environ.get("IMGTOOL_BACKEND", "")])[-1] == "torch"


def restriction(
    arguments: Sequence[str], environ: Mapping[str, str] = os.environ
) -> tuple[bool, tuple[str, ...]] | None:
    """How the worker is restricted if no configuration file says otherwise: as
    :class:`imgtool.runtime.start_process.Restriction`. Where this is wrong, another worker is started."""
    words = " ".join(arguments).replace("=", " ").split()
    after = [*zip(words, [*words[1:], ""], strict=True)]
    sandbox = ([value for word, value in after if word == "--sandbox"] or [environ.get("IMGTOOL_SANDBOX", "auto")])[-1]
    engines = [value for word, value in after if word.endswith("-engine")]
    engines += [value for name, value in environ.items() if name.startswith("IMGTOOL_") and name.endswith("_ENGINE")]
    if sandbox == "off" or (sandbox == "auto" and any(":" in name for name in engines)):
        return None
    tasks = ",".join(value for word, value in after if word in ("-t", "--tasks")) or environ.get("IMGTOOL_TASKS", "")
    root = _cache_root(arguments, environ) or _usual_root(environ)
    # Text and labels keep cleaned graphs there (imgtool.artefacts.places); pictures of other tasks need none.
    keeps = not tasks or "text" in tasks or "labels" in tasks or "codes" in tasks
    return sandbox == "on", (str(root / "cleaned"),) if keeps and root is not None else ()


def _usual_root(environ: Mapping[str, str]) -> Path | None:
    """The platform's cache directory (XDG Base Directory Specification)."""
    named = environ.get("XDG_CACHE_HOME", "").strip()
    return _folder(f"{named or '~/.cache'}/imgtool")


def _cache_root(arguments: Sequence[str], environ: Mapping[str, str]) -> Path | None:
    """The cache directory as the command line or the environment names it. A configuration file may name it, too, but
    reading that takes longer than is gained."""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if word == "--cache-dir":
            return _folder(following)
        if word.startswith("--cache-dir="):
            return _folder(word.partition("=")[2])
    named = environ.get("IMGTOOL_CACHE_DIR")
    return _folder(named) if named else None


def _folder(name: str) -> Path | None:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # a user without a home
        return None
