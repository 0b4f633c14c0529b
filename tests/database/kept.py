"""What a database holds, as plain values to compare, and entries to put into it."""

from __future__ import annotations

from typing import Any

import msgspec

from imgtool.database.entry import Entry, stamps
from imgtool.database.interface import Database
from imgtool.database.search.query import parse
from imgtool.types import ImageResult, TaskResults
from tests import results


def entry(result: ImageResult, path: str | None = None, **changes: Any) -> Entry:
    """``result`` as a run hands it over."""
    result = msgspec.structs.replace(result, **changes)
    return Entry(path or result.path, result, stamps(result), mtime_ns=10**18)


def said(path: str, *lines: str, sha: int = 0, caption: str = "", **changes: Any) -> Entry:
    """A picture with text, a caption and the label ``sign``; ``sha`` tells contents apart."""
    tasks = {"text": results.text(*lines), "labels": results.labels(sign=0.9, dog=0.01)}
    if caption:
        tasks["caption"] = results.caption(caption)
    return entry(results.answered(path, **tasks), sha256=f"{sha:064x}", **changes)


def everything(database: Database) -> list[tuple[Any, ...]]:
    """Every page with its result, in an order that does not depend on when it was written."""
    found = [
        (each.path or "", each.result.page, _plain(each.result), each.mtime_ns, each.gone_at)
        for each in database.entries()
    ]
    return sorted(found, key=str)


def _plain(result: ImageResult) -> Any:
    return msgspec.to_builtins(result)


def paths(database: Database, query: str, *below: str, limit: int | None = None) -> list[str]:
    """The paths that a query finds, best first."""
    return [hit.result.path for hit in database.hits(database.find(parse(query), below, limit).places)]


def without(result: ImageResult, task: str) -> ImageResult:
    """``result`` as of a run that did not ask ``task``."""
    tasks = {name: answer for name, answer in result.tasks.items() if name != task}
    return msgspec.structs.replace(result, tasks=TaskResults(**{name.value: answer for name, answer in tasks.items()}))
