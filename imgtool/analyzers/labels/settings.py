"""The preprocessing of a classifier: its settings, how each is written, and what a model's input says about them.

Nothing heavy is imported here: the light parent process uses it too, to refuse early what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgtool.analyzers.labels.names import names_of
from imgtool.errors import ConfigProblem, ModelNotUsable, UnknownKey, nearest
from imgtool.parameters import TABLES

Given = dict[str, Any]
"""Settings that one source gives, converted: a part of the fields of :class:`Preprocessing`, and perhaps ``labels``."""

Dims = tuple["int | None", ...]
"""The four dimensions of a model's image input; ``None`` where the model leaves one open."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# What is in common use for grey images: the averages of the three channels.
GREY_MEAN = (0.449,)
GREY_STD = (0.226,)
DEFAULT_SIDE = 224


@dataclass(frozen=True)
class Preprocessing:
    """Everything between a picture and the model's input, and between its output and probabilities.

    ``size`` is (height, width) in pixels. A pixel value v in 0..255 becomes ``(v / scale - mean) / std``; ``mean`` and
    ``std`` have one number a channel, in the order of ``channels`` (``RGB``, ``BGR`` or ``L`` for grey).

    ``resize`` says what the picture is scaled to, where ``full`` is ``size / crop_pct``: ``crop`` until it covers
    ``full``, ``pad`` until it fits inside, ``squash`` to ``full`` itself, ``none`` not at all. ``size`` is then cut out
    at ``position``; where the picture is smaller, the rest is ``fill`` (red, green, blue, 0 to 255), or by default the
    mean, which is 0 when normalised. ``multi_label`` says that logits are of labels that do not exclude each other,
    ``floor_offset`` that a cut at half a pixel begins before it, as with transformers, not at the nearest even one.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 255.0
    layout: str = "NCHW"
    resize: str = "crop"
    crop_pct: float = 0.875
    position: str = "centre"
    fill: tuple[float, ...] | None = None
    interpolation: str = "bilinear"
    channels: str = "RGB"
    activation: str = "auto"
    multi_label: bool = False
    floor_offset: bool = False


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    **{name: parameter.check for name, parameter in TABLES["classifier"].items()},
    "labels": names_of,
}
"""What a JSON file beside a model or the model's metadata may set, and how each value is checked."""


def convert(table: Mapping[str, Any], where: str) -> Given:
    """Convert the settings in ``table``; ``where`` names their source in messages.

    Raises:
        UnknownKey: a key is no setting of a classifier; the remedy names the nearest one.
        ConfigProblem: a value does not fit its key.
    """
    converted: Given = {}
    for key, value in table.items():
        if key not in CONVERTERS:
            raise UnknownKey(f"{where} sets {key!r}, which is no setting of a classifier", nearest(key, CONVERTERS))
        try:
            converted[key] = CONVERTERS[key](value)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise ConfigProblem(f"{where}: {key}: {error}", f"correct {key!r} there, or remove it") from error
    return converted


_OF_RESIZE = ("crop_pct", "position", "fill", "floor_offset")


def merge(*sources: Given) -> Given:
    """The settings of all sources, the strongest last. One that sets ``resize`` takes from weaker ones nothing that
    belongs to another way of resizing."""
    merged: Given = {}
    for source in sources:
        if "resize" in source:
            foreign = (*_OF_RESIZE, "interpolation") if source["resize"] == "none" else _OF_RESIZE
            merged = {key: value for key, value in merged.items() if key not in foreign}
        merged |= source
    return merged


def resolve(given: Mapping[str, Any], dims: Dims, dtype: str = "float32") -> Preprocessing:
    """The settings for a model whose input has the four dimensions ``dims``, from what its sources give together.

    Raises:
        ModelNotUsable: the model takes neither one nor three channels, or the settings contradict it or each other.
    """
    layout = given.get("layout") or guess_layout(dims)
    rows, columns, depth = (2, 3, 1) if layout == "NCHW" else (1, 2, 3)
    channels = _resolve_channels(given.get("channels"), dims[depth], layout, dims)
    size = _resolve_size(given.get("size"), (dims[rows], dims[columns]))
    grey = channels == "L"
    scale = given.get("scale", 255.0)
    usual: tuple[tuple[float, ...], ...] = (GREY_MEAN, GREY_STD) if grey else (IMAGENET_MEAN, IMAGENET_STD)
    if not math.isclose(scale, 255) or dtype == "uint8":  # those of ImageNet are meant for pixels / 255 only
        usual = (0.0,), (1.0,)
    mean = _spread(given.get("mean", usual[0]), grey, "mean")
    std = _spread(given.get("std", usual[1]), grey, "std")
    if dtype == "uint8" and (set(mean) != {0.0} or set(std) != {1.0} or given.get("scale", 1.0) not in (1.0, 255.0)):
        raise ModelNotUsable(
            "the model takes uint8 pixels as they are: no scale, mean or std can be applied",
            "leave scale, mean and std out of --classifier and of the JSON file",
        )
    if max(mean) > 255 / scale:
        raise ModelNotUsable(
            f"a mean of {max(mean):g} lies outside the scaled pixels, which run from 0 to {255 / scale:g}",
            "give the mean in scaled units, or set the scale to 1 for a model that takes 0 to 255",
        )
    resize = given.get("resize", "crop")
    for key, rules in (("fill", ("squash", "crop")), ("crop_pct", ("none",)), ("interpolation", ("none",))):
        if key in given and resize in rules:
            raise ModelNotUsable(f"{key} means nothing with resize {resize}", f"leave out {key}, or set another resize")
    keys = ("scale", "resize", "position", "fill", "interpolation", "activation", "multi_label", "floor_offset")
    others = {"crop_pct": 0.875 if resize == "crop" else 1.0, **{key: given[key] for key in keys if key in given}}
    if "crop_pct" in given:
        others["crop_pct"] = given["crop_pct"]
    return Preprocessing(**others, size=size, layout=layout, channels=channels, mean=mean, std=std)


def describe_assumed(given: Mapping[str, Any], settings: Preprocessing, dims: Dims, dtype: str) -> str:
    """What no source says about the preprocessing and is assumed; empty where the important part is known."""
    missing = [
        key for key in ("resize", "mean", "std") if key not in given and not (dtype == "uint8" and key != "resize")
    ]
    if "size" not in given and None in dims[-3:]:
        missing.append("size")
    if not missing:
        return ""
    numbers = {key: ",".join(f"{value:g}" for value in getattr(settings, key)) for key in ("mean", "std")}
    words = {
        "size": f"size {describe(settings.size)}",
        "resize": f"resize {settings.resize}",
        "crop_pct": f"crop_pct {settings.crop_pct:g}" if settings.crop_pct < 1 else "",
        "interpolation": settings.interpolation if settings.resize != "none" else "",
        "channels": settings.channels if settings.channels != "L" else "",
        **({} if dtype == "uint8" else {"scale": f"scale {settings.scale:g}"}),
        **({} if dtype == "uint8" else {key: f"{key} {text}" for key, text in numbers.items()}),
    }
    if "size" not in missing:
        del words["size"]
    return ", ".join(word for key, word in words.items() if word and key not in given)


def guess_layout(dims: Dims) -> str:
    """NHWC where only the last dimension can be channels, else NCHW."""
    return "NHWC" if dims[3] in (1, 3) and dims[1] not in (1, 3) else "NCHW"


def _resolve_channels(given: str | None, count: int | None, layout: str, dims: Dims) -> str:
    if count not in (None, 1, 3):
        other = "NHWC" if layout == "NCHW" else "NCHW"
        raise ModelNotUsable(
            f"the model takes {count} channels ({describe(dims)} read as {layout}), not 1 or 3",
            f"try --classifier layout={other}, or give a model for grey or colour images",
        )
    if count == 3 and given == "L":
        raise ModelNotUsable("the model takes 3 channels, the settings say grey", "set channels to RGB or BGR")
    if count == 1 and given not in (None, "L"):
        raise ModelNotUsable(f"the model takes grey images, the settings say {given}", "leave the channels out")
    return "L" if count == 1 else given or "RGB"


def _resolve_size(given: tuple[int, int] | None, fixed: Sequence[int | None]) -> tuple[int, int]:
    height, width = given or (fixed[0] or fixed[1] or DEFAULT_SIDE, fixed[1] or fixed[0] or DEFAULT_SIDE)
    if fixed[0] not in (None, height) or fixed[1] not in (None, width):
        raise ModelNotUsable(
            f"the model takes images of {describe(fixed)} pixels (height x width), the settings say {height}x{width}",
            "leave the size out, or set the layout if it was misread: --classifier layout=NHWC",
        )
    return height, width


def _spread(values: tuple[float, ...], grey: bool, name: str) -> tuple[float, ...]:
    wanted = 1 if grey else 3
    if len(values) not in (1, wanted):
        raise ModelNotUsable(
            f"the model takes grey images, but the {name} has {len(values)} numbers", f"give the {name} as one number"
        )
    return values * wanted if len(values) == 1 else values


def describe(dims: Sequence[int | None]) -> str:
    """Dimensions for a message, as ``1x3x224x224`` with ``?`` for an open one."""
    return "x".join("?" if dim is None else str(dim) for dim in dims)
