"""No library that imgtool uses may report home: said in the environment, before any of them is imported.

onnxruntime from 1.29 on sends usage events, and keeps an identifier of the device on disk, unless it is told not to
before it is imported; huggingface_hub adds usage data to its requests. What the user has set is left as it is.
OpenVINO knows no such setting: it is imported through here.
"""

from __future__ import annotations

import os
import sys
from typing import Any

SETTINGS = {
    "ORT_DISABLE_TELEMETRY": "1",
    "ORT_TELEMETRY_DISABLED": "1",  # its former name
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


def ask_for_silence() -> None:
    """Set what switches telemetry off, for this process and those that it starts."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def import_openvino() -> Any:
    """OpenVINO, with its own stand-in for the package that reports each import and leaves an identifier at home.

    Raises:
        ImportError: it is not installed.
    """
    reporter = "openvino_telemetry"
    hide = reporter not in sys.modules
    if hide:
        # As Python marks what cannot be imported.
        sys.modules[reporter] = None  # type: ignore[assignment]
    try:
        import openvino

        return openvino
    finally:
        if hide:
            del sys.modules[reporter]
