"""A query as an SQL condition on ``files f`` and ``results r``; where words are looked up is each database's matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from imgtool.database.interface import LAST, in_64_bits
from imgtool.database.search.query import AllOf, AnyOf, Between, Equals, Exact, Node, Not, Number, Words


class Condition(NamedTuple):
    """An SQL expression with ``?`` for each of ``values``. It is true or false, never NULL: it may be negated."""

    sql: str
    values: tuple[Any, ...] = ()


SET_RESULT = "+r.id"
"""``r.id`` where it is looked for in a set. The sign keeps SQLite from going through the whole set for each row."""

ALWAYS = Condition("TRUE")


def condition(node: Node, of_words: Callable[[Words], Condition]) -> Condition:
    """``node`` as SQL; ``of_words`` turns what must be looked up in an index into SQL."""
    match node:
        case Words():
            return of_words(node)
        case Equals():
            return _equals(node)
        case Between():
            return _between(node)
        case Not(part):
            inner = condition(part, of_words)
            return Condition(f"NOT ({inner.sql})", inner.values)
        case AllOf(parts):
            return joined("AND", [condition(part, of_words) for part in parts]) if parts else ALWAYS
        case AnyOf(parts):
            return joined("OR", [condition(part, of_words) for part in parts])


def joined(operator: str, parts: Sequence[Condition]) -> Condition:
    """``parts`` with ``AND`` or ``OR`` between them."""
    if len(parts) == 1:
        return parts[0]
    return Condition(
        "(" + f" {operator} ".join(part.sql for part in parts) + ")",
        tuple(value for part in parts for value in part.values),
    )


def below(paths: Sequence[str]) -> Condition:
    """Files that are one of ``paths`` or lie in it."""
    if not paths:
        return ALWAYS
    each = []
    for path in paths:
        folder = path.rstrip("/")
        # "0" is the character after "/".
        each.append(Condition("(f.path = ? OR (f.path >= ? AND f.path < ?))", (path, folder + "/", folder + "0")))
    return joined("OR", each)


def begins(column: str, value: str) -> Condition:
    """``column`` begins with ``value``; both are compared by code point."""
    return Condition(f"({column} >= ? AND {column} < ?)", (value, value + LAST))


_HAS = {
    "text": "r.line_count > 0",
    "caption": "r.captioned",
    "labels": "r.label_count > 0",
    "codes": "r.code_count > 0",
    "error": "r.status <> 'ok'",
}

_OF_RESULT = {Exact.FORMAT: "lower(r.format)", Exact.SHA256: "r.key"}


def _equals(node: Equals) -> Condition:
    if node.field is Exact.STATUS:
        if node.value == "gone":
            return Condition("(f.gone_at IS NOT NULL)")
        return Condition("(r.status = ?)", (node.value,))
    if node.field is Exact.HAS:
        return Condition(f"({_HAS[node.value]})")
    if node.field in _OF_RESULT:
        found = _is(_OF_RESULT[node.field], node)
        return Condition(f"coalesce({found.sql}, FALSE)", found.values)
    if node.field is Exact.ERROR:
        found = _is("error_code", node)
        both = f"SELECT id FROM results WHERE {found.sql} UNION SELECT result_id FROM tasks WHERE {found.sql}"
        return Condition(f"({SET_RESULT} IN ({both}))", found.values * 2)
    found = _is("engine" if node.field is Exact.ENGINE else "lower(model)", node)
    return Condition(f"({SET_RESULT} IN (SELECT result_id FROM tasks WHERE {found.sql}))", found.values)


def _is(column: str, node: Equals) -> Condition:
    return begins(column, node.value) if node.prefix else Condition(f"({column} = ?)", (node.value,))


_COLUMNS = {
    Number.PAGE: ("f.page", -1, 1),
    Number.PAGES: ("r.pages", 0, 1),
    Number.WIDTH: ("r.width", 0, 1),
    Number.HEIGHT: ("r.height", 0, 1),
    Number.SIZE: ("f.size", 0, 1),
    Number.LINES: ("r.line_count", 0, 1),
    Number.MODIFIED: ("f.mtime_ns", 0, 10**9),
}
"""The column, what is to be added to a number of the query, and how many units of the column one of the query has."""


def _between(node: Between) -> Condition:
    column, more, scale = _COLUMNS[node.field]
    tests, values = [], []
    if node.low is not None:
        tests.append(f"{column} >= ?")
        values.append(in_64_bits((int(node.low) + more) * scale))
    if node.high is not None:
        tests.append(f"{column} < ?")
        values.append(in_64_bits((int(node.high) + more + 1) * scale))
    return Condition(f"coalesce({' AND '.join(tests)}, FALSE)", tuple(values))
