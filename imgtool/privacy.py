"""No library that imgtool uses may report home: said in the environment, before any of them is imported.

onnxruntime from 1.29 on sends usage events, and keeps an identifier of the device on disk, unless it is told not to
before it is imported; huggingface_hub adds usage data to its requests. What the user has set is left as it is.
"""

from __future__ import annotations

import os

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
