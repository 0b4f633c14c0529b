"""The files with which transformers and timm publish a classifier, in our own settings.

``config.json`` has the class names, and timm's preprocessing; ``preprocessor_config.json`` has that of transformers.
What they ask for and cannot be done here is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgtool.analyzers.labels.names import names_of
from imgtool.analyzers.labels.settings import Dims, Given, convert
from imgtool.errors import ConfigProblem
from imgtool.parameters import parse_side_lengths

_PROCESSOR_MARKS = {"image_mean", "image_std", "image_processor_type", "feature_extractor_type", "rescale_factor"}
_MODEL_MARKS = {"id2label", "pretrained_cfg", "label_names", "architectures", "model_type"}
_PROCESSOR_KEYS = _PROCESSOR_MARKS | {
    *("do_resize", "do_rescale", "do_normalize", "do_center_crop", "do_convert_rgb", "do_flip_channel_order"),
    *("size", "crop_size", "crop_pct", "resample", "processor_class", "_valid_processor_keys", "default_to_square"),
    *("include_top", "rescale_offset", "data_format", "input_data_format", "return_tensors", "disable_grouping"),
}
_PILLOW_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
_SQUARES = ("ViT", "DeiT", "Beit", "EfficientNet", "EfficientFormer", "Perceiver", "Pvt", "Swin", "Glpn")
"""Processors to which a size that is one number was the side of a square; to the others it is the shorter side."""

_OURS = {"crop": "center", "squash": "squash", "pad": "border"}


TAGGER: Given = {
    "mean": (0.0,),
    "std": (1.0,),
    "scale": 1.0,
    "channels": "BGR",
    "resize": "pad",
    "fill": (255.0,),
    "interpolation": "bicubic",
}
"""How the taggers that come with a ``selected_tags.csv`` and take channels last see images (SmilingWolf's, whose
``config.json`` describes the PyTorch weights instead)."""


def is_published(table: Mapping[str, Any]) -> bool:
    """Whether ``table`` comes from a file of transformers or timm."""
    return bool((_PROCESSOR_MARKS | _MODEL_MARKS | {"image_processor"}) & set(table)) or _is_timm(table)


def from_published(table: Mapping[str, Any], where: str, dims: Dims) -> Given:
    """The settings in ``table``, which comes from the file ``where``, for a model with the input ``dims``.

    Raises:
        ConfigProblem: it asks for something that cannot be done, or cannot be understood (:class:`UnknownKey` for a
            switch that is on and unknown).
    """
    try:
        if isinstance(table.get("image_processor"), Mapping):  # of a processor_config.json
            table = table["image_processor"]
        given: Given = {}
        if set(table) & _PROCESSOR_MARKS:
            given = {**convert(_from_processor(table), where), "floor_offset": True}
        elif _is_timm(table):
            given = convert(_from_timm(table, dims), where)
        if "id2label" in table:
            given["labels"] = names_of(table["id2label"])
        elif isinstance(table.get("label_names"), list):
            described = table.get("label_descriptions") or {}
            given["labels"] = tuple(str(described.get(name) or name) for name in names_of(table["label_names"]))
        # As transformers' own pipeline decides.
        if table.get("problem_type") == "multi_label_classification":
            given["multi_label"] = True
        return given
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
        raise ConfigProblem(
            f"{where} cannot be understood: {error}", "describe the preprocessing in imgtool's own keys instead"
        ) from error


def _is_timm(table: Mapping[str, Any]) -> bool:
    return "pretrained_cfg" in table or {"architecture", "input_size"} <= set(table)


def _from_timm(table: Mapping[str, Any], dims: Dims) -> dict[str, Any]:
    """The preprocessing of ``timm.data.create_transform`` for evaluation."""
    config = {**table, **table.get("pretrained_cfg", {})}
    _, height, width = config["input_size"]
    crop_pct = config.get("crop_pct") or 0.875
    if (tested := config.get("test_input_size")) and tuple(tested[1:]) == dims[2:]:
        (_, height, width), crop_pct = tested, config.get("test_crop_pct") or crop_pct
    modes = {mode: resize for resize, mode in _OURS.items()}
    resize = modes[config.get("crop_mode") or "center"]
    own = {"size": [height, width], "crop_pct": crop_pct, "resize": resize}
    own |= {key: config[key] for key in ("mean", "std", "interpolation") if key in config}
    if resize == "pad":
        own["fill"] = [round(255 * mean) for mean in config["mean"]]
    return own


def _from_processor(table: Mapping[str, Any]) -> dict[str, Any]:
    """The preprocessing of an image processor of transformers; keys of ours among its own stay."""
    # Such files have many switches that are off; an unknown one that is on would change the pixels.
    own = {key: value for key, value in table.items() if key not in _PROCESSOR_KEYS and value}
    kind = str(table.get("image_processor_type") or table.get("feature_extractor_type") or "")
    own["scale"] = 1 / table.get("rescale_factor", 1 / 255) if table.get("do_rescale", True) else 1.0
    mean, std = [0.0], [1.0]
    # MobileViT's processor has a mean, and does not use it unless it is told to.
    if table.get("do_normalize", "image_mean" in table and "MobileViT" not in kind):
        if "image_mean" not in table or "image_std" not in table:
            raise ValueError("it normalises, but has no image_mean and image_std")
        mean, std = table["image_mean"], table["image_std"]
        if table.get("include_top") and "EfficientNet" in kind:  # divided by it once more
            std = [value**2 for value in std]
    if table.get("rescale_offset"):  # 1 is subtracted after scaling
        mean = [value + 1 for value in mean]
    own |= {"mean": mean, "std": std}
    if table.get("resample") is not None:
        own["interpolation"] = _PILLOW_FILTERS[table["resample"]]
    if table.get("do_flip_channel_order"):
        own["channels"] = "BGR"
    geometry = _geometry(table, kind)
    if geometry.get("resize") == "none":
        own.pop("interpolation", None)
    return own | geometry


def _geometry(table: Mapping[str, Any], kind: str) -> dict[str, Any]:
    size = table.get("size")
    crops = table.get("do_center_crop", "crop_size" in table) and table.get("crop_size") is not None
    cropped = parse_side_lengths(_sides(table["crop_size"])) if crops else None
    if not table.get("do_resize", True):
        return {"resize": "none", **({"size": cropped} if cropped else {})}
    if size is None:
        return {"size": cropped, "resize": "crop", "crop_pct": 1.0} if cropped else {}
    if isinstance(size, int) and (any(name in kind for name in _SQUARES) or not (kind or cropped)):
        size = {"height": size, "width": size}
    if isinstance(size, Mapping) and "longest_edge" in size:
        raise ValueError("a longest edge cannot be obeyed")
    if isinstance(size, Mapping) and "shortest_edge" not in size:
        squashed = parse_side_lengths(size)
        share = _share(cropped or squashed, squashed)
        return {"size": cropped or squashed, "resize": "squash", "crop_pct": share}
    return _from_edge(_sides(size), cropped, kind, table.get("crop_pct"))


def _from_edge(edge: int, cropped: tuple[int, int] | None, kind: str, crop_pct: float | None) -> dict[str, Any]:
    """The geometry of a processor that scales the shorter side to ``edge``, perhaps after enlarging it."""
    if "Levit" in kind:
        edge = int(256 / 224 * edge)
    if crop_pct is not None and "PoolFormer" in kind and cropped:
        edge = int(edge / crop_pct)
    elif crop_pct is not None:  # ConvNeXt's, which crops below 384 pixels only
        return (
            {"size": edge, "resize": "crop", "crop_pct": crop_pct} if edge < 384 else {"size": edge, "resize": "squash"}
        )
    size = cropped or (edge, edge)
    return {"size": size, "resize": "crop", "crop_pct": _share(size, (edge, edge))}


def _sides(size: Any) -> Any:
    return size["shortest_edge"] if isinstance(size, Mapping) and "shortest_edge" in size else size


def _share(cropped: tuple[int, int], scaled: tuple[int, int]) -> float:
    """The share that is cut out of what was scaled: the same on both sides."""
    if cropped[0] * scaled[1] != cropped[1] * scaled[0]:
        raise ValueError(f"a crop of {cropped} out of {scaled} keeps another share of the height than of the width")
    if cropped[0] > scaled[0]:
        raise ValueError(f"a crop of {cropped} is larger than the image of {scaled} that it is cut out of")
    return cropped[0] / scaled[0]
