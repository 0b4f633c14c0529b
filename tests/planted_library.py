"""A library that takes a while to import, for :class:`tests.planted.Heavy`."""

from __future__ import annotations

import time

time.sleep(0.1)
