"""The sources of a classifier's settings beside ``--classifier``: JSON files, and the model's own metadata.

Nothing heavy is imported: the light parent process reads the files too, to refuse a wrong one early.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from imgtool.analyzers.labels.names import decode_text, names_of, parse_literal
from imgtool.analyzers.labels.published import from_published, is_published
from imgtool.analyzers.labels.settings import CONVERTERS, Dims, Given, convert, merge
from imgtool.errors import ConfigProblem, ModelNotUsable, PathMissing

_NAME_KEYS = ("names", "labels", "class_names", "classes", "id2label")


def from_sidecar(path: Path, dims: Dims = ()) -> Given:
    """The settings in a JSON file: in our own keys, or as transformers and timm write them.

    Such a file may describe two sizes, of which that of the model's input ``dims`` is taken.

    Raises:
        PathMissing: the file does not exist.
        ConfigProblem: it cannot be read, is not a JSON object, or a value is invalid (:class:`UnknownKey` for a key).
    """
    table = _read_object(path)
    return from_published(table, str(path), dims) if is_published(table) else convert(table, str(path))


def is_sidecar(path: Path) -> bool:
    """Whether a JSON file that has the name of the model is about its preprocessing: reports of a training lie there,
    too. One that cannot be read is, so that this is said."""
    from difflib import get_close_matches

    try:
        table = _read_object(path)
    except ConfigProblem:
        return True
    return not table or is_published(table) or any(get_close_matches(key, CONVERTERS, cutoff=0.8) for key in table)


def from_folder(paths: list[Path], dims: Dims = ()) -> Given:
    """The settings in the ``config.json`` and ``preprocessor_config.json`` with which a model is published, the
    strongest last. One that describes no image classifier says nothing.

    Raises:
        ConfigProblem: one cannot be read or asks for what cannot be done.
    """
    tables = {path: _read_object(path) for path in paths}
    return merge(*(from_published(table, str(path), dims) for path, table in tables.items() if is_published(table)))


def _read_object(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(decode_text(path.read_bytes()))
    except FileNotFoundError as error:
        raise PathMissing(f"{path} does not exist", "name an existing file with --labels-config") from error
    except OSError as error:
        raise ConfigProblem(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise ConfigProblem(f"{path} is not valid JSON: {error}", "correct that file, or leave it out") from error
    if not isinstance(table, dict):
        raise ConfigProblem(f"{path} is not a JSON object", 'write it as {"size": [224, 224], ...}')
    return table


def from_metadata(properties: Mapping[str, str]) -> Given:
    """The settings in an ONNX model's ``metadata_props``.

    These are ``imgtool.size`` and so on, the keys of Ultralytics, and class names as other exporters call them
    (PaddleOCR: ``character``).

    Raises:
        ModelNotUsable: an ``imgtool.`` key is unknown or its value invalid. Other keys never raise.
    """
    given: Given = {}
    if character := properties.get("character", "").strip("\r\n"):
        given["labels"] = tuple(character.splitlines())
    for key in _NAME_KEYS:
        with suppress(KeyError, ValueError, TypeError, OverflowError, RecursionError):
            text = properties[key]
            given["labels"] = names_of(parse_literal(text) if text.strip()[:1] in ("{", "[") else _split(text))
            break
    with suppress(KeyError, ValueError, TypeError, OverflowError, RecursionError):
        # Ultralytics trains its classifiers on pixels / 255 with no further normalisation and cropped to the shorter
        # side (ultralytics/data/augment.py, classify_transforms).
        given["size"] = CONVERTERS["size"](parse_literal(properties["imgsz"]))
        given |= {"mean": (0.0,), "std": (1.0,), "resize": "crop", "crop_pct": 1.0}
    parted = ((*key.partition("."), text) for key, text in properties.items())
    own = {name: _value(text) for prefix, dot, name, text in parted if prefix == "imgtool" and dot}
    try:
        return {**given, **convert(own, "the model's metadata")}
    except ConfigProblem as error:
        raise ModelNotUsable(str(error), f"export the model again; {error.remedy}") from error


def _split(text: str) -> list[str]:
    parts = [part.strip() for part in (text.splitlines() if "\n" in text else text.split(",")) if part.strip()]
    return parts if len(parts) > 1 else []


def _value(text: str) -> Any:
    try:
        return parse_literal(text)
    except ValueError:
        return text
