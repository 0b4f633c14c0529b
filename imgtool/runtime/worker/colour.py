"""From the colours of a file to sRGB: ICC profiles, PNG's gamma, and the code points of video (H.273), HDR among them.

HDR is tone-mapped to what a browser shows on an ordinary screen: paper white is 203 cd/m2 (ITU-R BT.2408), and the
brightest component is compressed by Reinhard's curve with a white point ("Photographic tone reproduction for digital
images", 2002).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

ToSrgb: TypeAlias = Callable[[Image.Image], Image.Image]
"""Turns a part of an image of eight bits into RGB, or RGBA where it has transparency."""

_Numbers: TypeAlias = NDArray[np.float32]

_SAME = 3
"""Levels by which colours may be off and still be taken for sRGB."""
_GAMMA = 1 / 2.2
_PAPER_WHITE = 203.0
_PQ, _HLG, _LINEAR, _GAMMA_22, _GAMMA_28 = 16, 18, 8, 4, 5
_PEAK = {_PQ: 10_000 / _PAPER_WHITE, _HLG: 1_000 / _PAPER_WHITE}
"""The brightest that can be said, in paper whites."""

_D65 = (0.3127, 0.3290)
_BT_709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
_PRIMARIES = {
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
}
"""Red, green, blue and white of ITU-T H.273, as x and y, where they are not those of sRGB (or near them)."""


def to_srgb(image: Image.Image, head: bytes = b"") -> ToSrgb | None:
    """What makes sRGB of the colours of ``image``, whose file begins with ``head``; ``None`` where they are sRGB, or
    what they are is not said or not understood."""
    primaries, transfer = _code_points(image.format, head)
    if transfer not in _PEAK and (embedded := image.info.get("icc_profile")):
        mode = "L" if image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;16") else "RGB"
        transform = _from_profile(embedded, mode)
        if transform is None:
            return None
        return lambda band: _on_colours(band, mode, transform.apply)
    gamma = None
    if not transfer and image.format == "PNG" and "srgb" not in image.info:
        gamma = image.info.get("gamma")
        gamma = gamma if isinstance(gamma, float) and 0.01 < gamma < 10 and abs(gamma / _GAMMA - 1) > 0.05 else None
    linear = _linear(transfer, gamma)
    corners = _PRIMARIES.get(primaries)
    if linear is None and corners is None:
        return None
    if linear is None:
        linear = _srgb_to_linear(np.linspace(0, 1, 256))
    levels = linear.astype(np.float32)
    mixed = None if corners is None else (np.linalg.inv(_to_xyz(_BT_709)) @ _to_xyz(corners)).T.astype(np.float32)

    def convert(part: Image.Image) -> Image.Image:
        light = levels[np.asarray(part)]
        if transfer in _PEAK:
            light = _tone_mapped(light, transfer)
        if mixed is not None:
            light = light @ mixed
        return Image.fromarray(_ENCODED[np.rint(np.clip(light, 0, 1) * (len(_ENCODED) - 1)).astype(np.intp)])

    return lambda band: _on_colours(band, "RGB", convert)


def apply(pixels: NDArray[np.uint8], convert: ToSrgb, rows: int) -> None:
    """Convert (H, W, 3) uint8 RGB in place, ``rows`` rows at a time."""
    for top in range(0, len(pixels), rows):
        pixels[top : top + rows] = np.asarray(convert(Image.fromarray(pixels[top : top + rows])))


def _on_colours(band: Image.Image, mode: str, convert: ToSrgb) -> Image.Image:
    """Convert a band's colours, given in ``mode``, and keep its transparency."""
    if not band.has_transparency_data:
        return convert(band if band.mode == mode else band.convert(mode))
    band = band.convert("RGBA")
    alpha = band.getchannel("A")
    converted = convert(band.convert(mode))
    converted.putalpha(alpha)
    return converted


@lru_cache(maxsize=16)
def _from_profile(embedded: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From an embedded profile of RGB or grey (mode ``L``) to sRGB; ``None`` where that changes next to nothing, or the
    profile is broken or of another kind."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
        if profile.profile.xcolor_space.strip() != ("GRAY" if mode == "L" else "RGB"):
            return None
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
        steps = np.linspace(0, 255, 18 if mode == "RGB" else 256).astype(np.uint8)
        tried = steps[None] if mode == "L" else np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
        found = np.asarray(ImageCms.applyTransform(Image.fromarray(tried), transform)).astype(int)
    except Exception:  # noqa: BLE001 - a broken profile must not cost the image, whatever the library raises
        return None
    return transform if np.abs(found - (tried[..., None] if mode == "L" else tried)).max() > _SAME else None


def _code_points(format: str | None, head: bytes) -> tuple[int, int]:
    """Primaries and transfer function (H.273) that a file states, 0 where it does not: the box ``colr`` of HEIF and
    AVIF (ISO/IEC 14496-12), the chunk ``cICP`` of PNG."""
    if format in ("AVIF", "HEIF") and (at := head.find(b"colrnclx")) >= 0:
        stated = head[at + 8 : at + 12]
        return int.from_bytes(stated[:2], "big"), int.from_bytes(stated[2:], "big")
    if format == "PNG" and (at := head.find(b"\0\0\0\x04cICP")) >= 0 and len(head) >= at + 10:
        return head[at + 8], head[at + 9]
    return 0, 0


def _linear(transfer: int, gamma: float | None) -> NDArray[np.float64] | None:
    """Light for each of the 256 levels, 1 being (paper) white; ``None`` for the levels of sRGB."""
    level = np.linspace(0, 1, 256)
    if gamma is not None:
        return np.asarray(level ** (1 / gamma))
    if transfer == _PQ:  # SMPTE ST 2084
        root = level ** (1 / 78.84375)
        return np.asarray(
            10_000
            / _PAPER_WHITE
            * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        )
    if transfer == _HLG:  # ITU-R BT.2100
        low, high = level**2 / 3, (np.exp((level - 0.55991073) / 0.17883277) + 0.28466892) / 12
        return np.where(level <= 0.5, low, high)
    powers = {_LINEAR: 1.0, _GAMMA_22: 2.2, _GAMMA_28: 2.8}
    return None if transfer not in powers else np.asarray(level ** powers[transfer])


def _tone_mapped(light: _Numbers, transfer: int) -> _Numbers:
    """Light of HDR, 1 being paper white, within 0 to 1."""
    peak = _PEAK[transfer]
    if transfer == _HLG:  # from the scene to a screen of 1000 cd/m2
        luminance = light @ np.array((0.2627, 0.6780, 0.0593), np.float32)
        light = light * (peak * np.maximum(luminance, 1e-6) ** 0.2)[..., None]
    brightest = light.max(axis=-1, keepdims=True)
    mapped: _Numbers = light * ((1 + brightest / peak**2) / (1 + brightest))
    return mapped


def _to_xyz(corners: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """The matrix from light of these primaries to CIE XYZ (SMPTE RP 177)."""
    red, green, blue, white = (np.array((x / y, 1, (1 - x - y) / y)) for x, y in corners)
    matrix = np.stack((red, green, blue), axis=1)
    return np.asarray(matrix * np.linalg.solve(matrix, white))


def _srgb_to_linear(level: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def _encoded() -> NDArray[np.uint8]:
    """Levels of sRGB (IEC 61966-2-1) for light from 0 to 1 in equal steps, finer than the steps between dark levels."""
    light = np.linspace(0, 1, 1 << 14)
    levels = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * levels).astype(np.uint8)


_ENCODED = _encoded()
