"""The process that makes searchable PDF documents: it reads pictures and PDF documents that nobody trusts.

Orders come on stdin and answers go to stdout, one JSON value a line, one answer an order. When stdin closes, the parent
has gone, and this process ends.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from imgtool.documents.interface import DocumentFailed
from imgtool.types import Box

if TYPE_CHECKING:
    from imgtool.documents.pdf.page_image import PageImages
    from imgtool.documents.pdf.pdf_file import PdfFile


class Begin(msgspec.Struct, frozen=True, tag=True):
    """A document: its path as bytes, for JSON has no words for some names; whether it is a PDF document; its pages."""

    path: bytes
    is_pdf: bool
    pages: int


class Add(msgspec.Struct, frozen=True, tag=True):
    """Its next page: its number from 0, its size in pixels, and the lines on it."""

    page: int
    width: int
    height: int
    lines: list[tuple[str, Box]]


class Save(msgspec.Struct, frozen=True, tag=True):
    """There are no more pages: write it to the file ``place``, which exists."""

    place: bytes


Order = Begin | Add | Save


class Done(msgspec.Struct, frozen=True):
    """The answer to an order; ``problem`` says why it was not carried out."""

    problem: str | None = None


def make_documents(accept_truncated: bool, pdf_dpi: int, max_pixels: int) -> None:
    """Carry out orders until there are no more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever libraries print is no answer
    from imgtool.documents.pdf.page_image import PageImages
    from imgtool.runtime.worker.decode import Decoder

    images = PageImages(Decoder(max_pixels, accept_truncated=accept_truncated, pdf_dpi=pdf_dpi))
    document: PdfFile | None = None
    for line in sys.stdin.buffer:
        problem = None
        try:
            document = _carry_out(msgspec.json.decode(line, type=Order), document, images)
        except DocumentFailed as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - what libraries raise on a hostile file is anything
            problem = f"{type(error).__name__}: {error}"
        if problem is not None and document is not None:
            document.close()
            document = None
        answers.write(msgspec.json.encode(Done(problem)) + b"\n")
        answers.flush()


def _carry_out(order: Order, document: PdfFile | None, images: PageImages) -> PdfFile | None:
    from imgtool.documents.pdf.pdf_file import PdfWithText, PicturesAsPdf

    if isinstance(order, Begin):
        if document is not None:
            document.close()
        if order.is_pdf:
            return PdfWithText(os.fsdecode(order.path))
        return PicturesAsPdf(os.fsdecode(order.path), order.pages, images)
    if document is None:
        raise DocumentFailed("there is no document")
    if isinstance(order, Add):
        document.add(order.page, (order.width, order.height), order.lines)
        return document
    with Path(os.fsdecode(order.place)).open("r+b") as out:
        document.save(out)
    document.close()
    return None
