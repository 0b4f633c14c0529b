"""Runs before anything else in every process of some profiled runs: ``imgtool profile`` puts this folder first on
``PYTHONPATH``, and the interpreter imports ``sitecustomize`` by itself.

Whatever fails here must not fail the program. Only what the interpreter has loaded anyway is imported at the top.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

# Not IMGTOOL_*: those are options of the program.
IMPORTS_FOLDER = "_IMGTOOL_PROFILE_IMPORTS"
LINES = "_IMGTOOL_PROFILE_LINES"
LINES_FOLDER = "_IMGTOOL_PROFILE_LINES_FOLDER"
CALLS = "_IMGTOOL_PROFILE_CALLS"
_DEPTH = 1000


def _note_imports(folder: str) -> None:
    """Redirect stderr, to which ``-X importtime`` writes, into a file, and add a line on who asked for each import."""
    import _thread

    descriptor = os.open(os.path.join(folder, f"{os.getpid()}.imports"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 2)
    os.close(descriptor)

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "import":
            # The interpreter itself imports too: then there is no frame above this one.
            frame: FrameType | None = sys._getframe().f_back
            cause, depth = "", 0
            while frame is not None and depth < _DEPTH:
                name = frame.f_globals.get("__name__", "")
                package, *rooms = name.split(".")
                # A helper that only calls what it was given, such as a retry, is not the one who asked.
                if package == "imgtool" and rooms[:1] != ["ground"]:
                    cause = f"{name}:{frame.f_lineno}"
                    break
                frame, depth = frame.f_back, depth + 1
            line = f"import cause: {arguments[0]} | {_thread.get_ident()} | {cause}\n"
            os.write(2, line.encode("utf-8", "replace"))

    sys.addaudithook(note)


def _profile_lines(target: str, folder: str) -> None:
    """Wrap ``module:function`` in memory_profiler's decorator as soon as its module has been imported."""
    module, _, attribute = target.partition(":")

    class Finder:
        def find_spec(self, name, path=None, where=None):  # type: ignore[no-untyped-def]
            if name != module:
                return None
            sys.meta_path.remove(self)
            from importlib.util import find_spec

            spec = find_spec(name)
            if spec is not None and spec.loader is not None:
                execute = spec.loader.exec_module

                def exec_module(loaded):  # type: ignore[no-untyped-def]
                    execute(loaded)
                    _wrap(loaded, attribute, folder)

                spec.loader.exec_module = exec_module  # type: ignore[method-assign]
            return spec

    sys.meta_path.insert(0, Finder())


def _wrap(module: object, attribute: str, folder: str) -> None:
    out = os.path.join(folder, f"{os.getpid()}.lines")
    try:
        from memory_profiler import LineProfiler, show_results

        owner = module
        *path, last = attribute.split(".")
        for name in path:
            owner = getattr(owner, name)
        function = getattr(owner, last)
        profiler = LineProfiler(backend="psutil")
        wrapped = profiler(function)

        def measured(*args, **kwargs):  # type: ignore[no-untyped-def]
            try:
                return wrapped(*args, **kwargs)
            finally:
                # Written after each call: a worker leaves without running what is registered for its exit.
                with open(out, "w", encoding="utf-8") as stream:
                    show_results(profiler, stream, precision=1)

        setattr(owner, last, measured)
    except Exception as error:  # noqa: BLE001 - a name that does not exist is one of many causes; all are reported
        with open(out, "w", encoding="utf-8") as stream:
            stream.write(f"error: {type(error).__name__}: {error}\n")


def _profile_calls(output: str) -> None:
    """Run this process's main thread under cProfile; processes that it starts do not inherit the setting."""
    import atexit
    import cProfile

    del os.environ[CALLS]
    profile = cProfile.Profile()
    atexit.register(profile.dump_stats, output)
    atexit.register(profile.disable)  # called first: the last one registered is
    profile.enable()


def _next_sitecustomize() -> None:
    """Run the ``sitecustomize`` that this one hides."""
    from importlib.machinery import PathFinder

    here = os.path.dirname(os.path.abspath(__file__))
    others = [entry for entry in sys.path if os.path.abspath(entry) != here]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        from importlib.util import module_from_spec

        spec.loader.exec_module(module_from_spec(spec))


if IMPORTS_FOLDER in os.environ:
    _note_imports(os.environ[IMPORTS_FOLDER])
if LINES in os.environ:
    _profile_lines(os.environ[LINES], os.environ[LINES_FOLDER])
_next_sitecustomize()
if CALLS in os.environ:
    _profile_calls(os.environ[CALLS])
