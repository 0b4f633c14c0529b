"""The class names of a classifier, in the forms in which people keep them.

A text file may have one name a line, with or without numbers and WordNet identifiers; it may be a table with a header
(CSV), a list or a table in JSON, or a dictionary as Python prints it.
"""

from __future__ import annotations

import ast
import codecs
import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imgtool.errors import LabelsMismatch, ModelLoadFailed

_KEYED = re.compile(r"\s*/[a-z]{1,2}/[\w-]+\s*[,;\t]\s*(\S.*)")
"""Identifiers of Open Images and Freebase before names: ``/m/011k07,Tortoise``."""
_NUMBERED_BEHIND = re.compile(r"\s*(?:/[a-z]/)?(\S.*?)[\s,;]+(\d+)")
"""Names with numbers behind them, as Places365 has them: ``/a/airfield 0``."""
_SYNSET = re.compile(r"\s*n\d{8}[\s,:]+(\S.*)")
_NUMBERED = re.compile(r"\s*(?:n\d{8}\s+)?(\d+)\s*[:,;=)\t]\s*(\S.*)")
_SPACED = re.compile(r"\s*(?:n\d{8}\s+)?(\d+)\s+(\S.*)")
_QUOTED = re.compile(r"""\s*(['"])(.*)\1,?\s*""")

_TABLES = (
    *("id2label", "names", "labels", "class_names", "label_names", "classes", "categories"),
    *("idx_to_class", "idx2label", "index_to_name", "class_to_idx", "label2id", "class_indices"),
)
"""Keys of a JSON object under which the names may be."""

_NAME_COLUMNS = (
    *("display_name", "name", "class_name", "label_name", "category_name", "classname", "tag", "label"),
    *("class", "names", "labels", "classes", "category"),
)
_NUMBER_COLUMNS = ("index", "id", "idx", "class_id", "class_index", "classid", "label_id", "class_idx", "number")

_OTHER_FORMS = {".yaml": "YAML", ".yml": "YAML", ".pbtxt": "a protobuf label map", ".xml": "XML", ".xlsx": "Excel"}
_BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
MAX_LITERAL_CHARS = 4_000_000


def decode_text(data: bytes) -> str:
    """Text in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

    Raises:
        ValueError: it is in another encoding, or no text.
    """
    encoding = next((name for mark, name in _BOMS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"is not {encoding.removesuffix('-sig').upper()} text") from error
    if "\0" in text:
        raise ValueError("is no text, or UTF-16 without a byte order mark")
    return text.removeprefix("\ufeff")


def parse_literal(text: str) -> Any:
    """The value of a JSON or Python literal.

    Raises:
        ValueError: it is neither.
    """
    if len(text) <= MAX_LITERAL_CHARS:
        for parse in (json.loads, ast.literal_eval):
            try:
                return parse(text)
            except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
                continue
    raise ValueError("is neither valid JSON nor a list or dictionary of Python")


def names_of(value: Any) -> tuple[str, ...]:
    """Class names from what JSON or Python holds.

    It may be a list; a table from class index to name (``{"0": "cat"}``) or to a WordNet identifier and a name
    (``{"0": ["n01440764", "tench"]}``), from name to class index (``{"cat": 0}``), or one of these under a key such as
    ``id2label``. Indices begin with 0 or 1.

    Raises:
        ValueError: it is none of these, is empty, or its indices have a gap.
    """
    if isinstance(value, Mapping):
        below = next((value[key] for key in _TABLES if isinstance(value.get(key), (Mapping, list))), None)
        if below is not None:
            return names_of(below)
        if value and all(type(index) is int for index in value.values()):
            value = {index: name for name, index in value.items()}
        numbered = {int(index): name for index, name in value.items()}
        if len(numbered) != len(value) or not _is_counted(numbered):
            raise ValueError("the class indices do not run from 0 or 1 without a gap")
        value = [numbered[index] for index in sorted(numbered)]
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError("not a list of class names")
    key = next((key for key in _NAME_COLUMNS if all(isinstance(each, Mapping) and key in each for each in value)), None)
    if key is not None:
        by_id = {entry.get("id"): entry[key] for entry in value}
        if len(by_id) < len(value):
            by_id = dict(enumerate(entry[key] for entry in value))
        value = list(by_id.values()) if not _is_counted(by_id) else [by_id[index] for index in sorted(by_id)]
    if all(isinstance(entry, (list, tuple)) and len(entry) == 2 for entry in value):
        value = [entry[1] for entry in value]
    if not all(isinstance(name, str) or type(name) is int for name in value):
        raise ValueError("not a list of class names")
    return tuple(str(name) for name in value)


def _is_counted(indices: Any) -> bool:
    """Whether ``indices`` are 0 to n-1 or 1 to n, in any order."""
    return all(type(index) is int for index in indices) and sorted(indices) in (
        list(range(len(indices))),
        list(range(1, len(indices) + 1)),
    )


def parse_labels(text: str) -> tuple[str, ...]:
    """The names in ``text``; blank lines at the end are ignored.

    Numbers before all names (``0: tench``, ``1 tench``) decide the order if they run from 0 or 1 without a gap; WordNet
    identifiers before all names (``n01440764 tench, Tinca tinca``) are removed. Otherwise lines stay as they are.

    Raises:
        ValueError: it looks like a list or a table, but cannot be read as one.
    """
    text = text.strip("\ufeff").rstrip()
    begin, end = text.lstrip()[:1], text[-1:]
    if (begin, end) in (("{", "}"), ("[", "]")):
        try:
            literal = parse_literal(text.strip())
        except ValueError:
            if begin == "{":
                raise
        else:
            return names_of(literal)
    lines = [line.strip() for line in re.split(r"\r\n|\n|\r", text)]
    if lines == [""]:
        return ()
    if (table := _from_table(lines)) is not None:
        return table
    lines = _without_numbers(lines)
    for pattern in (_SYNSET, _KEYED):
        matches = [pattern.fullmatch(line) for line in lines]
        if all(matches):
            return tuple(match[1] for match in matches if match)
    return tuple(lines)


def _without_numbers(lines: list[str]) -> list[str]:
    for pattern in (_NUMBERED, _SPACED):
        matches = [match for line in lines if (match := pattern.fullmatch(line))]
        by_index = {int(match[1]): match[2] for match in matches}
        if len(by_index) != len(lines) or not _is_counted(by_index):
            continue
        # "1 euro, 2 euro" are names with numbers in them.
        if pattern is _SPACED and (len(lines) == 1 or len(set(by_index.values())) <= len(lines) / 2):
            continue
        lines = [by_index[index] for index in sorted(by_index)]
        break
    behind = [_NUMBERED_BEHIND.fullmatch(line) for line in lines]
    by_index = {int(match[2]): match[1] for match in behind if match}
    # "class 1", "class 2" are names; numbers that count names that differ are none of them.
    if len(by_index) == len(lines) > 1 and _is_counted(by_index) and len(set(by_index.values())) == len(lines):
        return [by_index[index] for index in sorted(by_index)]
    quoted = [_QUOTED.fullmatch(line) for line in lines]
    return [match[2] for match in quoted if match] if all(quoted) else lines


def _from_table(lines: list[str]) -> tuple[str, ...] | None:
    """The names in a table of comma-, semicolon- or tab-separated values, if its first line is a header.

    A column of numbers decides the order if they run from 0 or 1 without a gap.
    """
    for delimiter in ",;\t":
        rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
        header = [re.sub(r"[\s-]+", "_", cell.strip().lower()) for cell in rows[0]]
        candidates = [column for column in _NAME_COLUMNS if column in header]
        if len(header) < 2 or not candidates or any(len(row) < len(header) for row in rows[1:]) or len(rows) == 1:
            continue
        columns = {name: [row[place].strip() for row in rows[1:]] for place, name in enumerate(header)}
        worded = [name for name in candidates if not all(cell.isdecimal() for cell in columns[name])]
        names = columns[(worded or candidates)[0]]
        for column in (*_NUMBER_COLUMNS, *_NAME_COLUMNS):
            cells = columns.get(column, [])
            if cells and cells is not names and all(cell.isdecimal() for cell in cells):
                numbers = [int(cell) for cell in cells]
                if _is_counted(numbers):
                    return tuple(name for _, name in sorted(zip(numbers, names, strict=True)))
        return tuple(names)
    return None


def read_labels(path: Path) -> tuple[str, ...]:
    """The names in the file ``path``.

    Raises:
        ModelLoadFailed: the file is missing, cannot be read, is not text, is in a form that is not read, or is empty.
    """
    remedy = "give a text file with one class name a line: --labels-file labels.txt"
    if (form := _OTHER_FORMS.get(path.suffix.lower())) is not None:
        raise ModelLoadFailed(f"the labels file {path} is {form}, which is not read", remedy)
    try:
        labels = parse_labels(decode_text(path.read_bytes()))
    except FileNotFoundError as error:
        raise ModelLoadFailed(f"the labels file {path} does not exist", remedy) from error
    except OSError as error:
        raise ModelLoadFailed(f"the labels file {path} cannot be read: {error.strerror}", remedy) from error
    except (ValueError, TypeError, OverflowError, RecursionError, csv.Error) as error:
        encoding = ", in UTF-8" if "text" in str(error) else ""
        raise ModelLoadFailed(f"the labels file {path}: {error}", f"{remedy}{encoding}") from error
    if path.suffix.lower() == ".csv" and len(labels) > 1 and labels[0].strip().lower() in _NAME_COLUMNS:
        labels = labels[1:]
    if not labels:
        raise ModelLoadFailed(f"the labels file {path} is empty", remedy)
    return labels


def check_count(labels: int, widths: Sequence[int | None], source: str) -> None:
    """Compare the number of names from ``source`` with the widths of the model's outputs; ``None`` fits any number.

    Raises:
        LabelsMismatch: none has so many.
    """
    if None in widths or labels in widths:
        return
    has = " or ".join(str(width) for width in dict.fromkeys(widths))
    remedy = f"give the file that belongs to this model: {has} names, in the order of the classes"
    if labels + 1 in widths:
        remedy += "; some models have a class 'background' first, which then needs a line of its own"
    raise LabelsMismatch(f"{source} has {labels} names, but the model has {has} classes", remedy)
