"""How Python processes of imgtool's own are started: no file in the current folder can stand in for a module.

``-c`` looks for modules in the current folder first, where a collection of photos might hold a ``PIL.py``; ``-P`` keeps
that folder out. The folder of imgtool is named instead: a checkout need not be installed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType

IMGTOOL = "from imgtool.__main__ import main; main()"
"""The command ``imgtool`` as a program, for modules that may not import the command line."""


def python_calling(
    function: Callable[..., object], *arguments: object, words: Sequence[str] = (), **named: object
) -> list[str]:
    """The command of a fresh interpreter that calls ``function``, which stands at the top of its module.

    ``arguments`` and ``named`` are what it is called with: numbers, strings and the like, or functions like itself.
    ``words`` are what stands in ``sys.argv`` behind the program's name.
    """
    functions = [each for each in (function, *arguments) if isinstance(each, FunctionType)]
    imports = [f"from {each.__module__} import {each.__name__}" for each in functions]
    given = [each.__name__ if isinstance(each, FunctionType) else repr(each) for each in arguments]
    given += [f"{key}={value!r}" for key, value in named.items()]
    return _python(f"{'; '.join(imports)}; {function.__name__}({', '.join(given)})", words)


def imgtool_command(words: Sequence[str] = ()) -> list[str]:
    """The command of a fresh interpreter that runs ``imgtool`` with ``words``."""
    return _python(IMGTOOL, words)


def _python(code: str, words: Sequence[str]) -> list[str]:
    # As it stands in ``sys.path`` where imgtool is installed. There it stays behind the standard library: a package may
    # have the name of a module.
    root = str(Path(__file__).absolute().parents[2])
    path = f"import sys; {root!r} in sys.path or sys.path.insert(0, {root!r})"
    return [sys.executable, "-P", "-c", f"{path}; {code}", *words]
