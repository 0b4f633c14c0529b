"""EasyOCR's own ``Reader``, given the pixels that it would have decoded itself. Imported by the worker only."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.errors import ImgtoolError, ModelLoadFailed
from imgtool.inference.easyocr.answers import is_inside, lowest, text_line, vanishes
from imgtool.inference.torch import BUILDING, choose_device, extra_remedy, import_torch, memory_errors
from imgtool.types import TextLine
from imgtool.weights.catalogue import easyocr_models
from imgtool.weights.synthetic.marker import read_marker
from imgtool.weights.upstream_warnings import quiet

if TYPE_CHECKING:
    from imgtool.inference.picture import Picture


class EasyOcrReader:
    """A loaded reader. It must not be used from several threads at once."""

    def __init__(
        self,
        folder: Path,
        languages: Sequence[str],
        device: str,
        threads: int | None,
        *,
        quantize: bool = False,
        remedy: str,
    ) -> None:
        """Load detector and recogniser from ``folder``; upstream checks their MD5 before torch opens them.

        With ``quantize`` the recogniser computes in 8-bit integers on the CPU. ``remedy`` is what to do if a file
        cannot be used.

        Raises:
            ModelLoadFailed: torch or EasyOCR is missing, the device is not here, or a file is damaged.
        """
        torch = import_torch(threads)
        device = choose_device(torch, device)
        try:
            import easyocr
            import easyocr.utils
        except (ImportError, OSError, RuntimeError) as error:
            raise ModelLoadFailed(f"EasyOCR cannot be imported: {error}", extra_remedy()) from error
        path_before = list(sys.path)
        try:
            with BUILDING, _tables_as_marked(torch, folder, languages):
                self._reader = easyocr.Reader(
                    list(languages),
                    gpu=False if device == "cpu" else device,
                    model_storage_directory=str(folder),
                    # Upstream creates this directory and imports from it; it must not be one in the home directory.
                    user_network_directory=str(folder),
                    download_enabled=False,
                    verbose=False,
                    quantize=quantize,
                )
        except (ImgtoolError, MemoryError):
            raise
        except Exception as error:
            text = f"EasyOCR cannot load its weights in {folder}: {type(error).__name__}: {error}"
            raise ModelLoadFailed(text, remedy) from error
        finally:
            sys.path[:] = path_before
        self._paragraphs = easyocr.utils.get_paragraph

    def read(self, picture: Picture, detect: Mapping[str, Any], recognize: Mapping[str, Any]) -> list[TextLine]:
        """The lines in ``picture`` in upstream's order; boxes are clamped to the picture.

        ``detect`` and ``recognize`` hold what differs from upstream's defaults, under upstream's names.

        Raises:
            MemoryError: the picture does not fit into memory.
        """
        from imgtool.inference.easyocr.grey import grey

        quiet()
        height, width = picture.pixels.shape[:2]
        if vanishes(width, height, detect):
            return []
        # As ``readtext(path)`` does it. ``readtext(array)`` assumes BGR: its detector, trained on RGB, would see red
        # and blue swapped, or else its recogniser grey levels with swapped weights.
        with memory_errors():
            boxes, free = self._reader.detect(picture.pixels, **detect, reformat=False)
            beside = {name: value for name, value in recognize.items() if name != "paragraph"}
            levels = grey(picture.pixels, picture.format)
            upright = [box for box in boxes[0] if is_inside(box, width, height)]
            found = self._reader.recognize(levels, upright, free[0], **beside, reformat=False)
        if recognize.get("paragraph"):
            # Upstream's paragraphs have no confidence: here it is the lowest of their lines.
            mode = "rtl" if self._reader.model_lang == "arabic" else "ltr"
            joined = self._paragraphs(found, mode=mode)
            found = [(corners, text, lowest(corners, found)) for corners, text in joined]
        return [text_line(corners, text, score, width, height) for corners, text, score in found]


@contextmanager
def _tables_as_marked(torch: Any, folder: Path, languages: Sequence[str]) -> Iterator[None]:
    """While synthetic weights are loaded, EasyOCR's table holds their MD5 sums, as stated by their mark.

    Upstream trusts files with the right MD5 and opens them with the full pickle reader. Synthetic files are first
    opened with the reader that accepts tensors only.
    """
    marker = read_marker(folder)
    if marker is None:
        yield
        return
    for filename in marker.files:
        torch.load(folder / filename, map_location="cpu", weights_only=True, mmap=True)

    from easyocr import config

    rows = []
    for spec in easyocr_models(languages):
        row: Any = {"detection": config.detection_models, "recognition": config.recognition_models}
        for step in spec.repository.split("/"):
            row = row[step]
        rows.append((row, row["md5sum"]))
    for row, _ in rows:
        row["md5sum"] = marker.files.get(row["filename"], "")
    try:
        yield
    finally:
        for row, md5 in rows:
            row["md5sum"] = md5
