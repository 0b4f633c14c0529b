"""A query as SQL for PostgreSQL, and the documents (tsvector) in which its words are found.

Neither documents nor tsqueries are parsed by PostgreSQL's own rules: words have letters and digits alone, so quotes
around them are all the syntax there is. An index on documents answers without looking at them, as long as it is asked
for no weights. So a word of a label, say, is a lexeme of its own, ``b:harbour``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

from imgtool.database.search.conditions import SET_RESULT, Condition, begins, below, condition, joined
from imgtool.database.search.query import AllOf, AnyOf, In, Node, Not, Words
from imgtool.database.search.words import Phrase

WINDOW = 1000
"""Hits that are ranked where only the best are asked for: `ts_rank` has to read the document of each."""
SCORE = "ts_rank('{0.1, 0.4, 0.4, 0.8}', w.document, ?::tsquery)"

_SLICE = 13  # bits: 8,192 contents that follow each other have one lexeme in common
_MAX_DOCUMENT_BYTES = 900_000  # of the 1 MB that a tsvector may have
_MAX_COUNT = 20
# What stands before the words of each field; the letters are their weights, which ts_rank takes from D to A.
_MARKS = {"codes": "a:", "labels": "b:", "caption": "c:", "text": "", "path": ""}
# What is long comes last: a document has a limit, and it takes longest to compare.
_STREAMS = {In.CODE: "codes", In.LABEL: "labels", In.CAPTION: "caption", In.TEXT: "text"}
STREAMS = tuple(_STREAMS.values())


def document(streams: dict[str, str], number: int | None = None) -> str:
    """A tsvector of all words, by the name of their stream, for the content of that number.

    Its positions say only how often a word occurs, for ranking; which words follow each other is decided on streams.
    """
    found = [] if number is None else [f"'#{number >> _SLICE}'"]
    size = 0
    for name, words in streams.items():
        mark = _MARKS[name]
        for word, count in Counter(words.split()).items():
            size += len(word.encode()) + 2 * min(count, _MAX_COUNT) + 6
            if size > _MAX_DOCUMENT_BYTES:
                break
            found.append(f"'{mark}{word}':{_positions(min(count, _MAX_COUNT), mark[:1])}")
    return " ".join(found)


@cache
def _positions(count: int, weight: str) -> str:
    return ",".join(f"{place}{weight}" for place in range(1, count + 1))


def _streams(node: Words) -> tuple[str, ...]:
    return STREAMS if node.field is In.ANYTHING else (_STREAMS[node.field],)


def _lexemes(phrase: Phrase, mark: str = "") -> list[str]:
    """The words of ``phrase`` in the field of ``mark``, as a tsquery has them."""
    found = [f"'{mark}{word}'" for word in phrase.words]
    return [*found[:-1], found[-1] + ":*" * phrase.open_end]


def wanted(node: Node) -> Iterator[str]:
    """Everything that a query looks for in what a picture says."""
    if isinstance(node, Words) and node.field is not In.PATH:
        for name in _streams(node):
            yield from _lexemes(node.phrase, _MARKS[name])
    elif isinstance(node, AllOf | AnyOf):
        for part in node.parts:
            yield from wanted(part)


def slices(last: int) -> Iterator[str]:
    """What documents must match, too, step by step: the newest contents have enough hits for a frequent word."""
    newest, count = last >> _SLICE, 4
    while count <= newest:
        yield "(" + " | ".join(f"'#{newest - each}'" for each in range(count)) + ")"
        count *= 8
    yield ""


def _match(node: Node) -> tuple[str, bool] | None:
    """A tsquery that matches every document of which ``node`` is true, and whether it matches no other; ``None`` where
    there is none, or the whole index would have to be read for it."""
    if isinstance(node, Words):
        # Where codes are looked for, the table of codes has a say too.
        if node.field in (In.PATH, In.CODE):
            return None
        each = " | ".join(" & ".join(_lexemes(node.phrase, _MARKS[name])) for name in _streams(node))
        return f"({each})", len(node.phrase.words) == 1
    if not isinstance(node, AllOf | AnyOf):
        return None
    there = [_match(part) for part in node.parts if not isinstance(part, Not)]
    absent = [_match(part.part) for part in node.parts if isinstance(part, Not)]
    known = [each for each in there if each is not None]
    if not known or (isinstance(node, AnyOf) and (absent or None in there)):
        return None
    without = [f"!{each[0]}" for each in absent if each is not None and each[1]]
    exact = len(known) + len(without) == len(node.parts) and all(each[1] for each in known)
    sign = " & " if isinstance(node, AllOf) else " | "
    return f"({sign.join([*(each[0] for each in known), *without])})", exact


def newest(query: Node, paths: Sequence[str], window: int | None, within: str) -> Condition | None:
    """SQL for ``(id, result_id)`` of the files that meet ``query``, newest first and one more than ``window``.

    With ``within`` only of documents that match that, too; ``None`` where that would not be faster.
    """
    match = _match(query)
    limit = "" if window is None else f" LIMIT {window + 1}"
    if isinstance(query, AnyOf) and not (match and match[1]):
        # Each part finds its own way.
        found = [each for part in query.parts if (each := newest(part, paths, window, within)) is not None]
        if len(found) < len(query.parts):
            return None
        united = " UNION ".join(f"({part.sql})" for part in found)
        return Condition(f"{united} ORDER BY result_id DESC{limit}", tuple(v for part in found for v in part.values))
    rest: Node = query
    tables = "files f"
    values: tuple[str, ...] = ()
    if match is None:
        if within:
            return None
    else:
        parts = query.parts if isinstance(query, AllOf) else (query,)
        known = [_match(part.part if isinstance(part, Not) else part) for part in parts]
        rest = AllOf(tuple(part for part, each in zip(parts, known, strict=True) if not (each and each[1])))
        # The sum keeps PostgreSQL from going through all documents in the order of their numbers.
        tables = (
            "(SELECT result_id + 0 AS id FROM words WHERE document @@ ?::tsquery ORDER BY 1 DESC OFFSET 0) c"
            " JOIN files f ON f.result_id = c.id"
        )
        values = (match[0] + (within and f" & {within}"),)
    where = joined("AND", [condition(rest, _of_words), below(paths)])
    where = where._replace(sql=where.sql.replace(SET_RESULT, "f.result_id"))
    tables += " JOIN results r ON r.id = f.result_id" * ("r." in where.sql)
    tables += " JOIN words w ON w.result_id = f.result_id" * ("w." in where.sql)
    tables += " JOIN paths p ON p.file_id = f.id" * ("p." in where.sql)
    order = "f.result_id" if match is None else "c.id"
    return Condition(
        f"SELECT f.id, f.result_id FROM {tables} WHERE {where.sql} ORDER BY {order} DESC{limit}",
        (*values, *where.values),
    )


def _of_words(node: Words) -> Condition:
    """Words are looked for in the streams here, of a file at a time: what an index has to say was said."""
    phrase = node.phrase
    like = f"% {' '.join(phrase.words)}{'' if phrase.open_end else ' '}%"
    if node.field is In.PATH:
        found = Condition("(p.document @@ ?::tsquery)", (" & ".join(_lexemes(phrase)),))
        return found if len(phrase.words) == 1 else joined("AND", [found, Condition("p.path LIKE ?", (like,))])
    found = joined("OR", [Condition(f"w.{stream} LIKE ?", (like,)) for stream in _streams(node)])
    if node.field is not In.CODE:
        return found
    code = begins("lookup", node.code)
    looked_up = "SELECT result_id FROM words w WHERE document @@ ?::tsquery AND"
    return Condition(
        f"({SET_RESULT} IN (SELECT result_id FROM codes WHERE {code.sql} UNION {looked_up} {found.sql}))",
        (*code.values, " & ".join(_lexemes(phrase, "a:")), *found.values),
    )
