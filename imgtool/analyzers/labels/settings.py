"""The preprocessing of a classifier: its settings, how each is written, and what a model's input says about them.

Nothing heavy is imported here: the light parent process uses it too, to refuse early what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    ``crop`` scales so that the picture covers ``size / crop_pct`` and cuts ``size`` out of the middle.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 255.0
    layout: str = "NCHW"
    resize: str = "crop"
    crop_pct: float = 0.875
    interpolation: str = "bilinear"
    channels: str = "RGB"
    activation: str = "auto"


def parse_names(value: Any) -> tuple[str, ...]:
    """Class names from a list, or from a table of class index to name as ``{"0": "cat", "1": "dog"}``.

    Raises:
        ValueError: it is neither, is empty, or the indices are not 0 to n-1.
    """
    if isinstance(value, Mapping):
        numbered = {int(index): name for index, name in value.items()}
        if len(numbered) != len(value) or sorted(numbered) != list(range(len(value))):
            raise ValueError("the class indices do not run from 0 without a gap")
        value = [numbered[index] for index in sorted(numbered)]
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(name, str) for name in value):
        raise ValueError("not a list of class names")
    return tuple(value)


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    **{name: parameter.check for name, parameter in TABLES["classifier"].items()},
    "labels": parse_names,
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
        except (ValueError, TypeError, OverflowError) as error:
            raise ConfigProblem(f"{where}: {key}: {error}", f"correct {key!r} there, or remove it") from error
    return converted


def resolve(given: Mapping[str, Any], dims: Dims) -> Preprocessing:
    """The settings for a model whose input has the four dimensions ``dims``, from what its sources give together.

    Raises:
        ModelNotUsable: the model takes neither one nor three channels, or contradicts what was given.
    """
    layout = given.get("layout") or guess_layout(dims)
    rows, columns, depth = (2, 3, 1) if layout == "NCHW" else (1, 2, 3)
    channels = _resolve_channels(given.get("channels"), dims[depth], layout, dims)
    size = _resolve_size(given.get("size"), (dims[rows], dims[columns]))
    grey = channels == "L"
    scale = given.get("scale", 255.0)
    usual: tuple[tuple[float, ...], ...] = (GREY_MEAN, GREY_STD) if grey else (IMAGENET_MEAN, IMAGENET_STD)
    if not math.isclose(scale, 255):  # those of ImageNet are meant for pixels / 255 only
        usual = (0.0,), (1.0,)
    mean = _spread(given.get("mean", usual[0]), grey, "mean")
    std = _spread(given.get("std", usual[1]), grey, "std")
    if max(mean) > 255 / scale:
        raise ModelNotUsable(
            f"a mean of {max(mean):g} lies outside the scaled pixels, which run from 0 to {255 / scale:g}",
            "give the mean in scaled units, or set the scale to 1 for a model that takes 0 to 255",
        )
    others = {key: given[key] for key in ("scale", "resize", "crop_pct", "interpolation", "activation") if key in given}
    return Preprocessing(**others, size=size, layout=layout, channels=channels, mean=mean, std=std)


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
