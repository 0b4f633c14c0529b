"""Whether a command will surely need a worker, told from its words alone, before anything else is imported.

Wrong only in one direction: where it says no, the worker starts a little later, as it would without this.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

_OFF = {"0", "no", "off", "false"}
_ASKING = {"-h", "--help", "--retry-failed", "--no-isolate"}


def surely_needs_worker(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> bool:
    """Whether ``arguments`` ask for answers that cannot be kept ones: no cache is used, or there is none yet."""
    if len(arguments) < 2 or arguments[0] != "analyze" or not _ASKING.isdisjoint(arguments):
        return False
    if "--no-cache" in arguments or environ.get("IMGTOOL_CACHE", "").lower() in _OFF:
        return True
    root = _cache_root(arguments, environ)
    return root is not None and not (root / "results").exists()


def _cache_root(arguments: Sequence[str], environ: Mapping[str, str]) -> Path | None:
    """Where the command line or the environment says that answers are kept; a configuration file may say so too, and
    reading that takes longer than is gained."""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if word == "--cache-dir":
            return Path(following)
        if word.startswith("--cache-dir="):
            return Path(word.partition("=")[2])
    named = environ.get("IMGTOOL_CACHE_DIR")
    return Path(named) if named else None
