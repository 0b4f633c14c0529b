"""Silences warnings and progress bars of the model libraries: users cannot act on them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_NOISY = r"(torch|torchvision|transformers|easyocr|PIL|cv2|skimage)(\.|$)"


def quiet() -> None:
    """Ignore the Python warnings of the model libraries. Cheap to repeat.

    This adds a filter for the whole process, because ``catch_warnings`` is not thread-safe.
    """
    warnings.filterwarnings("ignore", module=_NOISY)


@contextmanager
def transformers_silenced() -> Iterator[None]:
    """Turn off progress bars and log messages of transformers inside the block; restored afterwards."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
