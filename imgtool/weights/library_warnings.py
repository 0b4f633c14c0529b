"""Keeping the model libraries' warnings and progress bars away from people who cannot act on them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_NOISY = r"(torch|torchvision|transformers|easyocr|PIL|cv2|skimage)(\.|$)"


def quiet() -> None:
    """Drop the Python warnings of the model libraries, which are addressed to their developers. Cheap to repeat.

    A filter rather than ``catch_warnings``, which two threads at once would leave in disorder.
    """
    warnings.filterwarnings("ignore", module=_NOISY)


@contextmanager
def transformers_silenced() -> Iterator[None]:
    """No progress bars and no advice of transformers for a while; restored for whoever else uses it."""
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
