"""The class names of a classifier from a text file, one class a line."""

from __future__ import annotations

import re
from pathlib import Path

from imgtool.errors import LabelsMismatch, ModelLoadFailed

_NUMBERED = re.compile(r"\s*(\d+)\s*[:,\t]\s*(\S.*)")
_SYNSET = re.compile(r"\s*n\d{8}[\s,:]+(\S.*)")


def parse_labels(text: str) -> tuple[str, ...]:
    """The names in ``text``, one per line; blank lines at the end are ignored.

    If every line begins with a number (``0: tench``), the numbers decide the order. If every line begins with a WordNet
    identifier (``n01440764 tench, Tinca tinca``), it is removed. Otherwise lines stay as they are.
    """
    lines = [line.strip() for line in re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff").rstrip())]
    if lines == [""]:
        return ()
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if all(numbered):
        by_index = {int(match[1]): match[2] for match in numbered if match}
        if sorted(by_index) == list(range(len(lines))):
            lines = [by_index[index] for index in range(len(lines))]
    synsets = [_SYNSET.fullmatch(line) for line in lines]
    return tuple(match[1] for match in synsets if match) if all(synsets) else tuple(lines)


def read_labels(path: Path) -> tuple[str, ...]:
    """The names in the UTF-8 file ``path``.

    Raises:
        ModelLoadFailed: the file is missing, cannot be read, is not text, or is empty.
    """
    remedy = "give a text file with one class name a line: --labels-file labels.txt"
    try:
        labels = parse_labels(path.read_bytes().decode("utf-8"))
    except FileNotFoundError as error:
        raise ModelLoadFailed(f"the labels file {path} does not exist", remedy) from error
    except OSError as error:
        raise ModelLoadFailed(f"the labels file {path} cannot be read: {error.strerror}", remedy) from error
    except UnicodeDecodeError as error:
        raise ModelLoadFailed(f"the labels file {path} is not UTF-8 text", remedy) from error
    if not labels:
        raise ModelLoadFailed(f"the labels file {path} is empty", remedy)
    return labels


def check_count(labels: int, classes: int, source: str) -> None:
    """Compare the number of names from ``source`` with the number of classes of the model.

    Raises:
        LabelsMismatch: they differ.
    """
    if labels == classes:
        return
    remedy = f"give the file that belongs to this model: {classes} lines, in the order of the classes"
    if classes == labels + 1:
        remedy += "; some models have a class 'background' first, which then needs a line of its own"
    raise LabelsMismatch(f"{source} has {labels} names, but the model has {classes} classes", remedy)
