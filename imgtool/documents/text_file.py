"""Forms that are plain text: the recognised text, the caption, the result as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO

from imgtool.documents.interface import PageWriter
from imgtool.formats.clean import well_formed
from imgtool.formats.jsonout import encode
from imgtool.types import ImageResult, Status


class TextForm:
    """A form whose pages ``writer`` writes into a text file, which is UTF-8 with plain newlines."""

    def __init__(self, suffix: str, writer: Callable[[IO[str], ImageResult], PageWriter]) -> None:
        self.suffix = suffix
        self._writer = writer

    def begin(self, place: Path, first: ImageResult) -> PageWriter:
        return self._writer(place.open("w", encoding="utf-8", newline=""), first)

    def may_replace(self, existing: Path) -> bool:
        return True

    def close(self) -> None:
        pass


class TextFileWriter:
    """What a writer of a text file has in common: the file, and whether it says anything yet."""

    def __init__(self, out: IO[str], first: ImageResult) -> None:
        self._out = out
        self._says_something = False

    def close(self) -> bool:
        self._out.close()
        return self._says_something

    def abandon(self) -> None:
        self._out.close()


class RecognisedText(TextFileWriter):
    """The lines of text, doubtful ones left out. A form feed comes between two pages."""

    _between = ""

    def add(self, result: ImageResult) -> None:
        self._out.write(self._between)
        self._between = "\f"
        if (text := result.text) is not None:
            self._says_something = True
            self._out.write(well_formed(text) + "\n" if text else "")


class Captions(TextFileWriter):
    """The caption, as programs that train models read it: one line, without a newline at the end. Those of several
    pages are lines."""

    def add(self, result: ImageResult) -> None:
        if result.caption:
            self._out.write("\n" * self._says_something + well_formed(" ".join(result.caption.split())))
            self._says_something = True


class JsonResult(TextFileWriter):
    """The result as ``imgtool schema`` describes it; those of several pages are an array."""

    def __init__(self, out: IO[str], first: ImageResult) -> None:
        super().__init__(out, first)
        self._before, self._end = ("[\n", "\n]\n") if first.pages > 1 else ("", "\n")

    def add(self, result: ImageResult) -> None:
        self._out.write(self._before + encode(result))
        self._before = ",\n"
        self._says_something |= result.status is not Status.FAILED

    def close(self) -> bool:
        self._out.write(self._end)
        return super().close()
