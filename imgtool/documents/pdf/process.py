"""Searchable PDF documents, made in a process of their own: a crash there costs one document."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from imgtool.documents.interface import DocumentFailed, PageWriter
from imgtool.documents.pdf.program import Add, Begin, Done, Order, Save, make_documents
from imgtool.engine.files.words import real_path
from imgtool.formats.clean import well_formed
from imgtool.ground.fresh import python_calling
from imgtool.options import EngineOptions, Truncated
from imgtool.types import ImageResult, sure_lines

_LEAST_SECONDS = 60.0
"""An order may take this long whatever ``--timeout`` says: a page of many megapixels is compressed without loss."""


class SearchablePdf:
    """The pages of a document with their text under them: a JPEG as it is, other pictures without loss, and a PDF
    document with its own pages."""

    suffix = ".ocr.pdf"

    def __init__(self, options: EngineOptions) -> None:
        self._seconds = max(_LEAST_SECONDS, options.timeout)
        self._command = python_calling(
            make_documents,
            accept_truncated=options.truncated is Truncated.ACCEPT,
            pdf_dpi=options.pdf_dpi,
            max_pixels=options.max_pixels,
        )
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, place: Path, first: ImageResult) -> PageWriter:
        return PdfPageWriter(self, place, first)

    def may_replace(self, existing: Path) -> bool:
        return True

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(OSError):  # what was not sent yet is of no use
                        stream.close()

    def order(self, order: Order) -> None:
        """Have ``order`` carried out, by a process that is started where there is none.

        Raises:
            DocumentFailed: it was not; a process that has crashed or hung has ended.
        """
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(self._seconds, process.kill)
        timer.start()
        try:
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:
            answer = b""
        finally:
            timed_out = not timer.is_alive()
            timer.cancel()
        if not answer.endswith(b"\n"):
            self.close()
            why = f"took more than {self._seconds:.0f} s" if timed_out else f"ended with code {process.returncode}"
            raise DocumentFailed(f"the process that makes PDF documents {why}: try the document alone")
        if (problem := msgspec.json.decode(answer, type=Done).problem) is not None:
            raise DocumentFailed(problem)


class PdfPageWriter:
    """One document."""

    def __init__(self, form: SearchablePdf, place: Path, first: ImageResult) -> None:
        self._form, self._place, self._first = form, place, first
        self._begun = False
        self._has_text = False

    def add(self, result: ImageResult) -> None:
        if result.path == "-":
            raise DocumentFailed("what is piped in cannot be read again: save it as a file")
        if not result.width or not result.height:
            return  # it could not be decoded, so there is nothing to show
        if not self._begun:
            self._form.order(Begin(os.fsencode(real_path(result.path)), result.format == "PDF", result.pages))
            self._begun = True
        lines = [(well_formed(line.text), line.box) for line in sure_lines(result.lines or ())]
        self._has_text |= result.lines is not None
        self._form.order(Add(result.page, result.width, result.height, lines))

    def close(self) -> bool:
        if not self._has_text:
            return False
        self._form.order(Save(os.fsencode(self._place)))
        return True

    def abandon(self) -> None:
        """The next document begins anew."""
