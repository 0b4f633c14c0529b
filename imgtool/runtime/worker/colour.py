"""From the colours of a file to sRGB: ICC profiles, PNG's gamma and chromaticities, and the code points of video
(H.273), HDR among them.

The aim is what a browser shows on an ordinary screen. HDR is tone-mapped as Chromium does: in BT.2020, by the curve of
SMPTE ST 2094-50 for a screen without headroom (reference white tone mapping), paper white being 203 cd/m2 (ITU-R
BT.2408).
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
_Corners: TypeAlias = tuple[tuple[float, float], ...]
"""Red, green, blue and white as x and y of CIE 1931."""

_SAME = 3
"""Levels by which colours may be off and still be taken for sRGB."""
_GAMMA = 1 / 2.2
_SRGB, _PQ, _HLG = 13, 16, 18
_PAPER_WHITE, _BRIGHTEST = 203.0, 1000.0
"""Light of white on paper and the most that HDR without metadata is taken to have, in cd/m2."""

_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
_BT_709: _Corners = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
_BT_2020: _Corners = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65)
_SMPTE_170M: _Corners = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
_PRIMARIES: dict[int, _Corners] = {
    1: _BT_709,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: _SMPTE_170M,
    7: _SMPTE_170M,
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: _BT_2020,
    10: ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1 / 3, 1 / 3)),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
"""ColourPrimaries of ITU-T H.273."""

_BT_1886 = (1, 6, 11, 14, 15)
"""TransferCharacteristics of television: its screens have a gamma of 2.4. Of AVIF and HEIF, browsers take them for
sRGB."""


def to_srgb(image: Image.Image, head: bytes = b"") -> ToSrgb | None:
    """What makes sRGB of the colours of ``image``, whose file begins with ``head``; ``None`` where they are sRGB, or
    what they are is not said or not understood."""
    primaries, transfer = _code_points(image.format, head)
    # PNG 3rd edition, 4.3: cICP comes first, then a profile, then sRGB.
    if (image.format == "PNG" and transfer) or transfer in (_PQ, _HLG):
        return _converter(_PRIMARIES.get(primaries, _BT_709), transfer)
    mode = "L" if image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;16") else "RGB"
    embedded = image.info.get("icc_profile")
    if embedded and (understood := _from_profile(embedded, mode)) is not None:
        is_needed, mode, convert = understood
        return (lambda band: _on_colours(band, mode, convert)) if is_needed else None
    if transfer:
        return _converter(_PRIMARIES.get(primaries, _BT_709), _SRGB if transfer in _BT_1886 else transfer)
    if image.format == "PNG" and "srgb" not in image.info:
        return _from_gamma(image.info.get("gamma"), image.info.get("chromaticity"))
    return None


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
def _from_profile(embedded: bytes, mode: str) -> tuple[bool, str, ToSrgb] | None:
    """From an embedded profile to sRGB for an image of ``mode`` (``L`` or ``RGB``): whether that changes anything, the
    mode that the conversion takes, and the conversion; ``None`` where the profile is broken or of another kind."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
        space = profile.profile.xcolor_space.strip()
        if space not in ("RGB", "GRAY") or (space == "GRAY" and mode != "L"):
            return None
        taken = "L" if space == "GRAY" else "RGB"
        # Optimised, a transform from grey is wrong by ten levels where a gamma of 1 is dark.
        flags = ImageCms.Flags.NOOPTIMIZE if taken == "L" else ImageCms.Flags.NONE
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), taken, "RGB", flags=flags)
        steps = np.linspace(0, 255, 18 if taken == "RGB" else 256).astype(np.uint8)
        tried = steps[None] if taken == "L" else np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
        found = np.asarray(ImageCms.applyTransform(Image.fromarray(tried), transform))
    except Exception:  # noqa: BLE001 - a broken profile must not cost the image, whatever the library raises
        return None
    is_needed = bool(np.abs(found.astype(int) - (tried[..., None] if taken == "L" else tried)).max() > _SAME)
    if taken == "L":
        table = found[0].T.ravel().tolist()
        return is_needed, taken, lambda band: Image.merge("RGB", (band,) * 3).point(table)
    return is_needed, taken, transform.apply


def _code_points(format: str | None, head: bytes) -> tuple[int, int]:
    """Primaries and transfer function (H.273) that a file states, 0 where it does not or they are not understood: the
    box ``colr`` of HEIF and AVIF (ISO/IEC 14496-12), the chunk ``cICP`` of PNG."""
    primaries = transfer = 0
    if format in ("AVIF", "HEIF") and (at := head.find(b"colrnclx")) >= 0:
        stated = head[at + 8 : at + 12]
        primaries, transfer = int.from_bytes(stated[:2], "big"), int.from_bytes(stated[2:], "big")
    if format == "PNG" and (at := head.find(b"\0\0\0\x04cICP")) >= 0 and len(head) >= at + 10:
        primaries, transfer = head[at + 8], head[at + 9]
    return (primaries, transfer) if primaries in _PRIMARIES else (0, 0)


def _from_gamma(gamma: object, chromaticity: object) -> ToSrgb | None:
    """From PNG's gAMA and cHRM, as Chromium does: cHRM counts only beside gAMA, and gAMA alone only where it is not
    about that of sRGB."""
    if not isinstance(gamma, float) or not 0.01 < gamma < 10:
        return None
    linear = np.linspace(0, 1, 256) ** (1 / gamma)
    if isinstance(chromaticity, tuple) and len(chromaticity) == 8:
        white, *corners = zip(chromaticity[::2], chromaticity[1::2], strict=True)
        if (converted := _converter((*corners, white), 0, linear)) is not None:
            return converted
    return None if abs(gamma / _GAMMA - 1) <= 0.05 else _converter(_BT_709, 0, linear)


def _converter(corners: _Corners, transfer: int, linear: NDArray[np.float64] | None = None) -> ToSrgb | None:
    """From these primaries and this transfer function (or ``linear``, light for each of the 256 levels) to sRGB."""
    levels = (_linear(transfer) if linear is None else linear).astype(np.float32)
    with np.errstate(all="ignore"):
        try:
            mixed = np.linalg.inv(_to_xyz(_BT_709)) @ _to_xyz(corners)
            wide = np.linalg.inv(_to_xyz(_BT_2020)) @ _to_xyz(corners)
        except np.linalg.LinAlgError:
            return None
    if not np.isfinite(mixed).all():
        return None
    if transfer not in (_PQ, _HLG) and np.allclose(mixed, np.eye(3), atol=0.002):
        table = _encoded(levels).astype(int)
        if np.abs(table - np.arange(256)).max() <= 1:
            return None
        return lambda band: _on_colours(band, "RGB", lambda part: part.point(table.tolist() * 3))
    to_srgb, to_wide, narrow = (each.T.astype(np.float32) for each in (mixed, wide, mixed @ np.linalg.inv(wide)))

    def convert(part: Image.Image) -> Image.Image:
        light: _Numbers = levels[np.asarray(part)]
        if transfer in (_PQ, _HLG):
            return Image.fromarray(_encoded(_tone_mapped(light, transfer, to_wide) @ narrow))
        return Image.fromarray(_encoded(light @ to_srgb))

    return lambda band: _on_colours(band, "RGB", convert)


def _linear(transfer: int) -> NDArray[np.float64]:
    """Light for each of the 256 levels, 1 being (paper) white; that of sRGB for what is not known."""
    level = np.linspace(0, 1, 256)
    powers = {4: 2.2, 5: 2.8, 8: 1.0, **dict.fromkeys(_BT_1886, 2.4)}
    if transfer in powers:
        return np.asarray(level ** powers[transfer])
    if transfer == _PQ:  # SMPTE ST 2084
        root = level ** (1 / 78.84375)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        return np.asarray(10_000 / _PAPER_WHITE * light)
    if transfer == _HLG:  # ITU-R BT.2100
        low, high = level**2 / 3, (np.exp((level - 0.55991073) / 0.17883277) + 0.28466892) / 12
        return np.where(level <= 0.5, low, high)
    if transfer == 7:  # SMPTE ST 240
        return np.where(level < 0.0913, level / 4, ((level + 0.1115) / 1.1115) ** (1 / 0.45))
    if transfer == 17:  # SMPTE ST 428-1
        return np.asarray(np.minimum(52.37 / 48 * level**2.6, 1))
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def _tone_mapped(light: _Numbers, transfer: int, to_wide: _Numbers) -> _Numbers:
    """Light of HDR, 1 being paper white, in BT.2020 and within 0 to 1."""
    peak = _BRIGHTEST / _PAPER_WHITE
    if transfer == _HLG:  # from the scene to a screen of 1000 cd/m2 (ITU-R BT.2100, gamma 1.2)
        luminance = light @ np.array((0.2627, 0.6780, 0.0593), np.float32)
        light = light * (peak * np.maximum(luminance, 1e-6) ** 0.2)[..., None]
    light = light @ to_wide
    brightest = light.max(axis=-1, keepdims=True)
    # Up to paper white it is halved; from there a quadratic curve leads to 1 at the peak.
    at = np.linspace(0, 1, 1024)
    x, y = ((1 - at) ** 2 * a + 2 * at * (1 - at) * b + at**2 * c for a, b, c in ((1, 1.65, peak), (0.5, 0.825, 1)))
    mapped = np.where(brightest <= 1, brightest / 2, np.interp(brightest, x, y).astype(np.float32))
    scaled: _Numbers = light * (mapped / np.maximum(brightest, 1e-6))
    return scaled


def _to_xyz(corners: _Corners) -> NDArray[np.float64]:
    """The matrix from light of these primaries to CIE XYZ under D65 (SMPTE RP 177, adapted by Bradford's matrix)."""
    red, green, blue, white = (np.array((x, y, 1 - x - y)) for x, y in corners)
    matrix = np.stack((red, green, blue), axis=1)
    matrix = matrix * np.linalg.solve(matrix, white / white[1])
    cones = np.array(((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)))
    day = np.array((_D65[0] / _D65[1], 1, (1 - sum(_D65)) / _D65[1]))
    return np.asarray(np.linalg.solve(cones, np.diag((cones @ day) / (cones @ (white / white[1]))) @ cones) @ matrix)


def _encoded(light: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Levels of sRGB for light from 0 to 1."""
    return _LEVELS[np.rint(np.clip(light, 0, 1) * (len(_LEVELS) - 1)).astype(np.intp)]


def _levels() -> NDArray[np.uint8]:
    """Levels of sRGB (IEC 61966-2-1) for light from 0 to 1 in equal steps, finer than the steps between dark levels."""
    light = np.linspace(0, 1, 1 << 14)
    levels = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * levels).astype(np.uint8)


_LEVELS = _levels()
