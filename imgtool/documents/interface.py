"""What a form is in which the answers about a document are kept: one file for all its pages."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from imgtool.errors import ImgtoolError
from imgtool.types import ImageResult


class DocumentFailed(ImgtoolError):
    """A file about one document cannot be made; those about others can."""


class PageWriter(Protocol):
    """Writes the pages of one document, in order and one by one, into a file."""

    def add(self, result: ImageResult) -> None:
        """Write a page, also one that failed.

        Raises:
            DocumentFailed: it cannot be written in this form.
        """

    def close(self) -> bool:
        """Complete the file; returns whether it says anything, so that it is worth keeping.

        Raises:
            DocumentFailed: it cannot be completed.
        """

    def abandon(self) -> None:
        """Give the file up. Never raises."""


class Form(Protocol):
    """A form: ``suffix`` is what the file's name ends in."""

    suffix: str

    def begin(self, place: Path, first: ImageResult) -> PageWriter:
        """Begin a document whose first page is ``first`` in the empty file ``place``. ``add`` gets that page, too."""

    def may_replace(self, existing: Path) -> bool:
        """Whether ``existing`` may be overwritten where that was asked for."""

    def close(self) -> None:
        """There are no more documents."""
