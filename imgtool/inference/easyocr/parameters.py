"""Parameters under EasyOCR's names, the same for torch and for compiled networks. Light, as a probe must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool.weights.languages import easyocr_codes

if TYPE_CHECKING:
    from imgtool.options import EngineOptions

_DETECT = ("min_size", "text_threshold", "low_text", "link_threshold", "canvas_size", "mag_ratio")
"""What ``--ocr`` sets for upstream's ``detect``, under the same names."""

_RECOGNIZE = {
    "decoder": "decoder",
    "beam_width": "beamWidth",
    "paragraph": "paragraph",
    "contrast_threshold": "contrast_ths",
    "adjust_contrast": "adjust_contrast",
    "rotations": "rotation_info",
    "allowlist": "allowlist",
    "blocklist": "blocklist",
}
"""What it sets for upstream's ``recognize``, and what that calls it."""


def reading_parameters(options: EngineOptions) -> dict[str, Any]:
    """``languages`` in EasyOCR's codes, what ``--ocr`` sets, as ``detect`` and ``recognize``, and an ``order`` of ours.

    What is not set is left to upstream's own default.
    """
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in options.ocr.items()}
    return {
        "languages": list(easyocr_codes(options.languages)),
        **({"order": "columns"} if options.ocr.get("order") == "columns" else {}),
        "detect": {name: given[name] for name in _DETECT if name in given},
        "recognize": {upstream: given[name] for name, upstream in _RECOGNIZE.items() if name in given},
    }
