"""How Python processes of imgtool's own are started: no file in the current folder can stand in for a module.

``-m`` and ``-c`` both put the current folder first on the path, where a collection of photos might hold a ``PIL.py``.
``-P`` prevents that. Python 3.13.0 also needs it where the current folder is gone: without it a missing attribute of a
module ends in a ``SystemError``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def python_calling(function: str, *arguments: object, words: Sequence[str] = (), **named: object) -> list[str]:
    """The command of a fresh interpreter that calls ``function``, given as ``module:function``.

    ``arguments`` and ``named`` are what it is called with: numbers, strings and the like. ``words`` are what stands in
    ``sys.argv`` behind the program's name.
    """
    module, _, name = function.partition(":")
    given = ", ".join([*map(repr, arguments), *(f"{key}={value!r}" for key, value in named.items())])
    root = str(Path(__file__).resolve().parents[1])
    code = f"import sys; sys.path.insert(0, {root!r}); from {module} import {name}; {name}({given})"
    return [sys.executable, "-P", "-c", code, *words]
