"""Thumbnails for a gallery of hits: kept ones, and new ones where the gallery is the first to need them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType

import msgspec

from imgtool.analyzers.interface import THUMBNAIL
from imgtool.engine.engine import Engine
from imgtool.engine.files.words import real_path
from imgtool.engine.plan import Plan
from imgtool.options import EngineOptions, Pages
from imgtool.types import ImageResult, Task


class Thumbnails(AbstractContextManager["Thumbnails"]):
    """Makes thumbnails with an engine that is asked for nothing else."""

    def __init__(self, options: EngineOptions) -> None:
        wanted = msgspec.structs.replace(
            options, tasks=(Task.CAPTION,), caption_engine="describe", pages=Pages.ALL, include=(), exclude=()
        )
        self._engine = Engine(wanted, thumbnails=True)
        self._engine.plan = Plan({THUMBNAIL: self._engine.plan.chosen[THUMBNAIL]})

    def added_to(self, results: list[ImageResult]) -> Iterator[ImageResult]:
        """``results`` with their thumbnails, where there is a picture to be seen."""
        paths = list(dict.fromkeys(real_path(result.path) for result in results))
        made = {(each.path, each.page): each.thumbnail for each in self._engine.analyze(paths)}
        for result in results:
            yield msgspec.structs.replace(result, thumbnail=made.get((result.path, result.page), msgspec.UNSET))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.__exit__(kind, error, trace)
