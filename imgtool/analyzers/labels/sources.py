"""Where the settings of a classifier may be given beside ``--classifier``: a JSON sidecar, the model's own metadata.

Nothing heavy is imported here: the light parent process reads the sidecar too, to refuse early what is wrong.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
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
        ConfigProblem: it cannot be read, is no JSON object, or a value does not fit (:class:`UnknownKey` for a key).
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
        raise ConfigProblem(f"{path} holds no JSON object", 'write it as {"size": [224, 224], ...}')
    if _PREPROCESSOR_MARKS & set(table):
        table = _from_preprocessor(table, str(path))
    return convert(table, str(path))


def from_metadata(properties: Mapping[str, str]) -> Given:
    """The settings in an ONNX model's ``metadata_props``: ``imgtool.size`` and so on, and the keys of Ultralytics.

    Raises:
        ModelNotUsable: an ``imgtool.`` key is unknown or its value does not fit. Foreign keys never raise.
    """
    own = {
        key.removeprefix("imgtool."): _literal(text) for key, text in properties.items() if key.startswith("imgtool.")
    }
    try:
        return {**_from_ultralytics(properties), **convert(own, "the model's metadata")}
    except ConfigProblem as error:
        raise ModelNotUsable(str(error), f"export the model again; {error.remedy}") from error


def _literal(text: str) -> Any:
    """A JSON or Python literal as what it means, anything else as the text itself."""
    if len(text) > MAX_METADATA_CHARS:
        return text
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return text


def _from_ultralytics(properties: Mapping[str, str]) -> Given:
    given: Given = {}
    for key, foreign in (("size", "imgsz"), ("labels", "names")):
        try:
            given[key] = CONVERTERS[key](_literal(properties[foreign]))
        except (KeyError, ValueError, TypeError, OverflowError):
            continue
    if "size" in given:
        # Its classifiers are trained on pixels / 255 with no further normalisation and cropped to the shorter side
        # (ultralytics/data/augment.py, classify_transforms).
        given |= {"mean": (0.0,), "std": (1.0,), "resize": "crop", "crop_pct": 1.0}
    return given


_PREPROCESSOR_MARKS = {"image_mean", "image_std", "image_processor_type", "feature_extractor_type", "rescale_factor"}
_PREPROCESSOR_KEYS = _PREPROCESSOR_MARKS | {
    *("do_resize", "do_rescale", "do_normalize", "do_center_crop", "do_convert_rgb", "do_flip_channel_order"),
    *("size", "crop_size", "crop_pct", "resample", "processor_class", "_valid_processor_keys", "default_to_square"),
}
_PILLOW_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")


def _from_preprocessor(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Our own keys for those of transformers' image processors; keys of ours beside them stay."""
    # Such files carry many switches that are off; one that is on and unknown would change the pixels.
    own = {key: value for key, value in table.items() if key not in _PREPROCESSOR_KEYS and value}
    try:
        own |= _preprocessor_values(table) | _preprocessor_geometry(table)
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise ConfigProblem(
            f"{where} cannot be understood: {error}", "describe the preprocessing in imgtool's own keys instead"
        ) from error
    return own


def _preprocessor_values(table: Mapping[str, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {}
    own["scale"] = 1 / table.get("rescale_factor", 1 / 255) if table.get("do_rescale", True) else 1.0
    if not table.get("do_normalize", True):
        own |= {"mean": 0.0, "std": 1.0}
    else:
        own |= {key: table[f"image_{key}"] for key in ("mean", "std") if f"image_{key}" in table}
    if table.get("resample") is not None:
        own["interpolation"] = _PILLOW_FILTERS[table["resample"]]
    if table.get("do_flip_channel_order"):
        own["channels"] = "BGR"
    return own


def _preprocessor_geometry(table: Mapping[str, Any]) -> dict[str, Any]:
    size = table.get("size")
    if size is None:
        return {}
    edge = size.get("shortest_edge") if isinstance(size, Mapping) else size
    cropped = parse_side_lengths(table["crop_size"]) if _crops(table) else None
    if edge is None:
        if cropped not in (None, parse_side_lengths(size)):
            raise ValueError("a crop smaller than a fixed height and width is not supported")
        return {"size": size, "resize": "squash"}
    if cropped is not None:
        return {"size": cropped, "resize": "crop", "crop_pct": min(cropped) / edge}
    return _uncropped_geometry(edge, table.get("crop_pct"), square=not isinstance(size, Mapping))


def _crops(table: Mapping[str, Any]) -> bool:
    return bool(table.get("do_center_crop", "crop_size" in table)) and table.get("crop_size") is not None


def _uncropped_geometry(edge: int, crop_pct: float | None, *, square: bool) -> dict[str, Any]:
    """ConvNeXt's processor crops below 384 pixels only; an ``edge`` that is a bare number was a square to squash to."""
    if crop_pct is not None and edge < 384:
        return {"size": edge, "resize": "crop", "crop_pct": crop_pct}
    if square or crop_pct is not None:
        return {"size": edge, "resize": "squash"}
    return {"size": edge, "resize": "crop", "crop_pct": 1.0}
