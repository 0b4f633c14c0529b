"""What the shell proposes for the values of options. Each function imports what it lists only when it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def formats() -> list[str]:
    """Output formats."""
    from imgtool.options import OutputFormat

    return [each.value for each in OutputFormat]


def choices(name: str) -> Callable[[], list[str]]:
    """A function that lists the values of an enumeration of :mod:`imgtool.options`."""

    def found() -> list[str]:
        from imgtool import options

        return [each.value for each in getattr(options, name)]

    return found


def words(*values: str) -> Callable[[], list[str]]:
    """A function that lists ``values``."""
    return lambda: list(values)


def arms(incomplete: str) -> list[str]:
    """Built-in arms of a benchmark, with those before the last comma kept."""
    from imgtool.bench.arms.definitions import BARE_RAPIDOCR, BUILT_IN

    return _continued(incomplete, (arm.name for arm in (*BUILT_IN, BARE_RAPIDOCR)))


def models() -> list[str]:
    """What ``imgtool warm-cache`` takes: models of the catalogue, and the tasks that need one."""
    from imgtool.weights.catalogue import CATALOGUE, Kind

    return [*(spec.name for spec in CATALOGUE.values() if spec.kind is Kind.HUB), "easyocr", "caption", "text"]


def text_forms(incomplete: str) -> list[str]:
    """Forms of ``--text-out``, with those before the last comma kept."""
    from imgtool.options import TextOut

    return _continued(incomplete, (each.value for each in TextOut))


def sidecars(incomplete: str) -> list[str]:
    """Forms of ``--sidecar``, with those before the last comma kept."""
    from imgtool.options import Sidecar

    return _continued(incomplete, (each.value for each in Sidecar))


def tasks(incomplete: str) -> list[str]:
    """Tasks, with those before the last comma kept."""
    from imgtool.types import Task

    return _continued(incomplete, (each.value for each in Task))


def languages(incomplete: str) -> list[str]:
    """Codes of languages that some engine reads, with those before the last comma kept."""
    from imgtool.weights.languages import LANGUAGES

    return _continued(incomplete, sorted(LANGUAGES))


def engines(task: str) -> Callable[[], list[str]]:
    """A function that lists the engines for ``task``."""

    def found() -> list[str]:
        from imgtool.analyzers.registry import ORDER

        return list(ORDER[task])

    return found


def every_engine() -> list[str]:
    """All engines."""
    from imgtool.analyzers.interface import THUMBNAIL
    from imgtool.analyzers.registry import ANALYZERS

    return [name for name in ANALYZERS if name != THUMBNAIL]


def caption_models() -> list[str]:
    """Repositories of the captioning models in the catalogue."""
    from imgtool.weights.catalogue import CATALOGUE, Kind

    return [spec.repository for spec in CATALOGUE.values() if spec.kind is Kind.HUB]


def databases() -> list[str]:
    """How a URL of a database begins."""
    return ["sqlite:///", "postgresql://", "off"]


def query(incomplete: str) -> list[str]:
    """Fields of the query language, and the values of those that have few, for the last word of a query."""
    from imgtool.database.search.query import FIELDS, VALUES

    before, space, word = incomplete.rpartition(" ")
    sign = "-" if word.startswith("-") else ""
    field, colon, _ = word.removeprefix("-").partition(":")
    proposed = [f"{field}:{value}" for value in VALUES.get(field, ())] if colon else [f"{name}:" for name in FIELDS]
    return [f"{before}{space}{sign}{each}" for each in proposed if (sign + each).startswith(word)]


def _continued(incomplete: str, values: Iterable[str]) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    given = set(before.split(","))
    return [f"{before}{comma}{value}" for value in values if value.startswith(last) and value not in given]
