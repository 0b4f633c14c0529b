"""The sources of a classifier's settings beside ``--classifier``: a JSON sidecar, and the model's own metadata.

Nothing heavy is imported: the light parent process reads the sidecar too, to refuse a wrong one early.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from imgtool.analyzers.labels.settings import CONVERTERS, Given, convert
from imgtool.errors import ConfigProblem, ModelNotUsable, PathMissing
from imgtool.parameters import parse_side_lengths

MAX_METADATA_CHARS = 4_000_000


def from_sidecar(path: Path) -> Given:
    """The settings in a JSON file: in our own keys, or a ``preprocessor_config.json`` as transformers writes it.

    Raises:
        PathMissing: the file does not exist.
        ConfigProblem: it cannot be read, is not a JSON object, or a value is invalid (:class:`UnknownKey` for a key).
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise PathMissing(f"{path} does not exist", "name an existing file with --labels-config") from error
    except OSError as error:
        raise ConfigProblem(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise ConfigProblem(f"{path} is not valid JSON: {error}", "correct that file, or leave it out") from error
    if not isinstance(table, dict):
        raise ConfigProblem(f"{path} is not a JSON object", 'write it as {"size": [224, 224], ...}')
    if _PREPROCESSOR_MARKS & set(table):
        table = _from_preprocessor(table, str(path))
    return convert(table, str(path))


def from_metadata(properties: Mapping[str, str]) -> Given:
    """The settings in an ONNX model's ``metadata_props``: ``imgtool.size`` and so on, and the keys of Ultralytics.

    Raises:
        ModelNotUsable: an ``imgtool.`` key is unknown or its value invalid. Other keys never raise.
    """
    given: Given = {}
    for key, foreign in (("size", "imgsz"), ("labels", "names")):
        with suppress(KeyError, ValueError, TypeError, OverflowError):
            given[key] = CONVERTERS[key](_literal(properties[foreign]))
    if "size" in given:
        # Ultralytics trains its classifiers on pixels / 255 with no further normalisation and cropped to the shorter
        # side (ultralytics/data/augment.py, classify_transforms).
        given |= {"mean": (0.0,), "std": (1.0,), "resize": "crop", "crop_pct": 1.0}
    parted = ((*key.partition("."), text) for key, text in properties.items())
    own = {name: _literal(text) for prefix, dot, name, text in parted if prefix == "imgtool" and dot}
    try:
        return {**given, **convert(own, "the model's metadata")}
    except ConfigProblem as error:
        raise ModelNotUsable(str(error), f"export the model again; {error.remedy}") from error


def _literal(text: str) -> Any:
    """The value of a JSON or Python literal; any other text as it is."""
    if len(text) > MAX_METADATA_CHARS:
        return text
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return text


_PREPROCESSOR_MARKS = {"image_mean", "image_std", "image_processor_type", "feature_extractor_type", "rescale_factor"}
_PREPROCESSOR_KEYS = _PREPROCESSOR_MARKS | {
    *("do_resize", "do_rescale", "do_normalize", "do_center_crop", "do_convert_rgb", "do_flip_channel_order"),
    *("size", "crop_size", "crop_pct", "resample", "processor_class", "_valid_processor_keys", "default_to_square"),
}
_PILLOW_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")


def _from_preprocessor(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Our own keys for those of transformers' image processors; keys of ours among them stay."""
    # Such files have many switches that are off; an unknown one that is on would change the pixels.
    own = {key: value for key, value in table.items() if key not in _PREPROCESSOR_KEYS and value}
    try:
        own["scale"] = 1 / table.get("rescale_factor", 1 / 255) if table.get("do_rescale", True) else 1.0
        if not table.get("do_normalize", True):
            own |= {"mean": 0.0, "std": 1.0}
        else:
            own |= {key: table[f"image_{key}"] for key in ("mean", "std") if f"image_{key}" in table}
        if table.get("resample") is not None:
            own["interpolation"] = _PILLOW_FILTERS[table["resample"]]
        if table.get("do_flip_channel_order"):
            own["channels"] = "BGR"
        return own | _preprocessor_geometry(table)
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise ConfigProblem(
            f"{where} cannot be understood: {error}", "describe the preprocessing in imgtool's own keys instead"
        ) from error


def _preprocessor_geometry(table: Mapping[str, Any]) -> dict[str, Any]:
    size = table.get("size")
    if size is None:
        return {}
    edge = size.get("shortest_edge") if isinstance(size, Mapping) else size
    crops = table.get("do_center_crop", "crop_size" in table) and table.get("crop_size") is not None
    cropped = parse_side_lengths(table["crop_size"]) if crops else None
    if edge is None:
        if cropped not in (None, parse_side_lengths(size)):
            raise ValueError("a crop smaller than a fixed height and width is not supported")
        return {"size": size, "resize": "squash"}
    if cropped is not None:
        return {"size": cropped, "resize": "crop", "crop_pct": min(cropped) / edge}
    # ConvNeXt's processor crops below 384 pixels only; an edge that is a bare number was a square to squash to.
    crop_pct = table.get("crop_pct")
    if crop_pct is not None and edge < 384:
        return {"size": edge, "resize": "crop", "crop_pct": crop_pct}
    if crop_pct is not None or not isinstance(size, Mapping):
        return {"size": edge, "resize": "squash"}
    return {"size": edge, "resize": "crop", "crop_pct": 1.0}
