"""Which forms a run writes, from its options."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from imgtool.distribution import install_command
from imgtool.documents.interface import Form
from imgtool.errors import MissingExtra, UsageProblem
from imgtool.options import EngineOptions, OutputOptions, Sidecar, TextOut
from imgtool.types import Task

_NEEDS = {Sidecar.TXT: (Task.CAPTION,), Sidecar.XMP: (Task.CAPTION, Task.LABELS), Sidecar.JSON: tuple(Task)}


def forms_of(output: OutputOptions, engine: EngineOptions) -> list[Form]:
    """The forms that ``output`` asks for.

    Raises:
        UsageProblem: two forms have the same names, the run asks for no task that they hold, or it looks at some pages
            of a document alone.
        MissingExtra: a form needs an optional dependency that is not installed.
    """
    if not output.text_out and not output.sidecar:
        return []
    if Sidecar.TXT in output.sidecar and TextOut.TXT in output.text_out:
        raise UsageProblem(
            "--sidecar txt and --text-out txt would write captions and text to the same files",
            "run twice, with another --sidecar-dir for one of them: the second run takes its answers from the cache",
        )
    if engine.retry_failed:
        raise UsageProblem(
            "--retry-failed answers single pages, and --text-out and --sidecar need all pages of a document",
            "leave --retry-failed out: what failed is tried again, and the other answers come from the cache",
        )
    tasks = engine.wanted_tasks
    asked = ",".join(task.value for task in tasks)
    if output.text_out and Task.TEXT not in tasks:
        raise UsageProblem("--text-out needs the task text", f"--tasks {asked},text")
    for sidecar in output.sidecar:
        if not set(_NEEDS[sidecar]) & set(tasks):
            needed = " or ".join(task.value for task in _NEEDS[sidecar])
            raise UsageProblem(
                f"--sidecar {sidecar.value} needs the task {needed}", f"--tasks {asked},{_NEEDS[sidecar][0].value}"
            )
    return [*_text_forms(output, engine), *_sidecars(output)]


def _text_forms(output: OutputOptions, engine: EngineOptions) -> Iterator[Form]:
    from imgtool.documents.text_file import RecognisedText, TextForm

    for wanted in dict.fromkeys(output.text_out):
        if wanted is TextOut.TXT:
            yield TextForm(".txt", RecognisedText)
        elif wanted is TextOut.HOCR:
            from imgtool.documents.hocr import Hocr

            yield TextForm(".hocr", Hocr)
        elif wanted is TextOut.ALTO:
            from imgtool.documents.alto import Alto

            yield TextForm(".alto.xml", Alto)
        else:
            from imgtool.documents.pdf.process import SearchablePdf

            if lacking := [name for name in ("pikepdf", "img2pdf") if find_spec(name) is None]:
                raise MissingExtra(f"--text-out pdf needs {' and '.join(lacking)}", install_command("pdf"))
            yield SearchablePdf(engine)


def _sidecars(output: OutputOptions) -> Iterator[Form]:
    from imgtool.documents.text_file import Captions, JsonResult, TextForm

    for wanted in dict.fromkeys(output.sidecar):
        if wanted is Sidecar.XMP:
            from imgtool.documents.xmp import XmpForm

            yield XmpForm()
        elif wanted is Sidecar.JSON:
            yield TextForm(".json", JsonResult)
        else:
            yield TextForm(".txt", Captions)
