"""Where graphs are kept. Light: every run with a classifier or RapidOCR asks."""

from __future__ import annotations

from pathlib import Path

from imgtool.options import EngineOptions, cache_root

CLEANED = "cleaned"


def cleaned_root(options: EngineOptions) -> Path:
    """The folder that :mod:`imgtool.inference.cleaned_graphs` keeps its graphs in."""
    return cache_root(options) / CLEANED
