"""imgtool: batch image analysis that starts at once."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
