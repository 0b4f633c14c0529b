"""Options under EasyOCR's names, the same for torch and for compiled networks. Light, as a probe must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from imgtool.errors import UsageProblem
from imgtool.weights.languages import easyocr_codes

if TYPE_CHECKING:
    from imgtool.options import EngineOptions

DECODERS = ("greedy", "beamsearch", "wordbeamsearch")

_DETECT = {
    "ocr_min_size": "min_size",
    "ocr_text_threshold": "text_threshold",
    "ocr_low_text": "low_text",
    "ocr_link_threshold": "link_threshold",
    "ocr_canvas_size": "canvas_size",
    "ocr_mag_ratio": "mag_ratio",
}
_RECOGNIZE = {
    "ocr_decoder": "decoder",
    "ocr_beam_width": "beamWidth",
    "ocr_paragraph": "paragraph",
    "ocr_contrast_threshold": "contrast_ths",
    "ocr_adjust_contrast": "adjust_contrast",
    "ocr_rotations": "rotation_info",
    "ocr_allowlist": "allowlist",
    "ocr_blocklist": "blocklist",
}
"""Our options and what upstream calls them. What is not set is left to upstream's own default."""


def reading_parameters(options: EngineOptions) -> dict[str, Any]:
    """``languages`` in EasyOCR's codes, and what differs from its defaults, as ``detect`` and ``recognize``.

    Raises:
        UsageProblem: there is no such decoder.
    """
    recognize = _given(options, _RECOGNIZE)
    if recognize.get("decoder", "greedy") not in DECODERS:
        raise UsageProblem(f"there is no decoder {recognize['decoder']!r}", f"one of {', '.join(DECODERS)}")
    return {
        "languages": list(easyocr_codes(options.languages)),
        "detect": _given(options, _DETECT),
        "recognize": recognize,
    }


def _given(options: EngineOptions, names: Mapping[str, str]) -> dict[str, Any]:
    values = {upstream: getattr(options, name, None) for name, upstream in names.items()}
    return {name: _plain(value) for name, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
