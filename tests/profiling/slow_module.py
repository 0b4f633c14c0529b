"""Takes half a second to import."""

from __future__ import annotations

import time

time.sleep(0.5)
