"""A query as one SQL statement for SQLite, its words looked up through FTS5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imgtool.database.search.conditions import SET_RESULT, Condition, begins, below, condition, joined
from imgtool.database.search.query import AllOf, AnyOf, In, Node, Not, Words
from imgtool.database.search.words import Phrase

WINDOW = 1000
"""Hits that are ranked where only the best are asked for: bm25 takes microseconds for each."""

# Text, caption, labels, codes: what is said in few words weighs more.
_SCORE = "-bm25(words, 1.0, 2.0, 2.0, 3.0)"
_COLUMNS = {
    In.ANYTHING: "{text caption labels codes}",
    In.TEXT: "text",
    In.CAPTION: "caption",
    In.LABEL: "labels",
    In.CODE: "codes",
    In.PATH: "path",
}


def statement(query: Node, paths: Sequence[str], window: int | None) -> tuple[str, tuple[Any, ...]]:
    """SQL for ``(file_id, score)`` of what meets ``query``, newest first, and its values. One more than ``window`` are
    asked for, so that it is known whether there are more."""
    match, rest = _hoisted(query)
    where = joined("AND", [condition(rest, _of_words), below(paths)])
    limit = "" if window is None else f" LIMIT {window + 1}"
    # CROSS JOIN keeps the order: newest first, and no further than the window.
    if match is None:
        return (
            "SELECT f.id, 0.0 FROM results r CROSS JOIN files f ON f.result_id = r.id"
            f" WHERE {where.sql} ORDER BY r.id DESC{limit}",
            where.values,
        )
    return (
        f"SELECT f.id, {_SCORE} FROM words CROSS JOIN results r ON r.id = words.rowid"
        " CROSS JOIN files f ON f.result_id = r.id"
        f" WHERE words MATCH ? AND {where.sql} ORDER BY words.rowid DESC{limit}",
        (match, *where.values),
    )


def _hoisted(query: Node) -> tuple[str | None, Node]:
    """What of ``query`` every hit must match in the index, and the rest: only what FTS5 matches can be ranked."""
    if (whole := _match(query)) is not None:
        return whole, AllOf(())
    if not isinstance(query, AllOf):
        return None, query
    inside: list[Node] = []
    rest: list[Node] = []
    for part in query.parts:
        (rest if _match(part.part if isinstance(part, Not) else part) is None else inside).append(part)
    match = _match(AllOf(tuple(inside)))
    return (None, query) if match is None else (match, AllOf(tuple(rest)))


def _match(node: Node) -> str | None:
    """``node`` as one FTS5 expression on ``words``, where it can be said so."""
    if isinstance(node, Words):
        # Where codes are looked for, the table of codes has a say too.
        return None if node.field in (In.PATH, In.CODE) else f"{_COLUMNS[node.field]} : {_quoted(node.phrase)}"
    if isinstance(node, AnyOf):
        parts = [_match(part) for part in node.parts]
        return None if None in parts else "(" + " OR ".join(filter(None, parts)) + ")"
    if isinstance(node, AllOf):
        there = [_match(part) for part in node.parts if not isinstance(part, Not)]
        absent = [_match(part.part) for part in node.parts if isinstance(part, Not)]
        # FTS5 knows "this and not that", but not "not that" alone.
        if not there or None in there or None in absent:
            return None
        positive = "(" + " AND ".join(filter(None, there)) + ")"
        return f"({positive} NOT ({' OR '.join(filter(None, absent))}))" if absent else positive
    return None


def _quoted(phrase: Phrase) -> str:
    return f'"{" ".join(phrase.words)}"' + (" *" if phrase.open_end else "")


def _of_words(node: Words) -> Condition:
    match = f"{_COLUMNS[node.field]} : {_quoted(node.phrase)}"
    if node.field is In.PATH:
        return Condition("(+f.id IN (SELECT rowid FROM paths WHERE paths MATCH ?))", (match,))
    found = Condition(f"({SET_RESULT} IN (SELECT rowid FROM words WHERE words MATCH ?))", (match,))
    if node.field is not In.CODE:
        return found
    code = begins("lookup", node.code)
    return joined(
        "OR", [Condition(f"({SET_RESULT} IN (SELECT result_id FROM codes WHERE {code.sql}))", code.values), found]
    )
