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
    is shared."""
    if len(arguments) < 2 or arguments[0] != "analyze" or not _WITHOUT_WORKER.isdisjoint(arguments):
        return False
    if environ.get("IMGTOOL_CLUSTER") or any(word.startswith("--cluster") for word in arguments):
        return False
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
