"""EasyOCR's ``Reader`` as it is, fed with what it would have decoded itself. Imported by the worker only."""

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
from imgtool.weights.catalogue import ModelSpec, easyocr_models
from imgtool.weights.located.easyocr import WARM
from imgtool.weights.marker import Marker, read_marker
from imgtool.weights.silence import quiet

if TYPE_CHECKING:
    from imgtool.inference.picture import Picture


class EasyOcrReader:
    """A loaded reader. Not meant for several threads at once."""

    def __init__(
        self,
        folder: Path,
        languages: Sequence[str],
        device: str,
        threads: int | None,
        quantize: bool = False,
        remedy: str = WARM,
    ) -> None:
        """Load detector and recogniser from ``folder``; upstream checks their MD5 before torch opens them.

        ``quantize`` has the recogniser compute in 8-bit integers on the CPU. ``remedy`` is what to do where a file is
        of no use.

        Raises:
            ModelLoadFailed: torch or EasyOCR is missing, the device is not here, or a file is damaged.
        """
        torch = import_torch(threads)
        self._inference = torch.inference_mode
        self._device = choose_device(torch, device)
        easyocr = _import_easyocr()
        marker = read_marker(folder)
        with BUILDING, _as_load_failure(folder, remedy), _tables_as_marked(easyocr, torch, folder, languages, marker):
            self._reader = _construct(easyocr, folder, languages, self._device, quantize)
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
        # What ``readtext(path)`` hands on. ``readtext(array)`` would take the array for BGR: its detector, trained on
        # RGB, would see red and blue swapped, or else its recogniser a grey made with swapped weights.
        with memory_errors():
            boxes, free = self._reader.detect(picture.pixels, **detect, reformat=False)
            wanted = {name: value for name, value in recognize.items() if name != "paragraph"}
            levels = grey(picture.pixels, picture.format)
            upright = [box for box in boxes[0] if is_inside(box, width, height)]
            found = self._reader.recognize(levels, upright, free[0], **wanted, reformat=False)
        if recognize.get("paragraph"):
            found = self._joined(found)
        return [text_line(corners, text, score, width, height) for corners, text, score in found]

    def _joined(self, lines: Sequence[Any]) -> list[Any]:
        """Paragraphs as upstream joins them. Upstream gives them no confidence: here it is that of their worst line."""
        mode = "rtl" if self._reader.model_lang == "arabic" else "ltr"
        joined = self._paragraphs(lines, mode=mode)
        return [(corners, text, lowest(corners, lines)) for corners, text in joined]


def _import_easyocr() -> Any:
    try:
        import easyocr
        import easyocr.utils
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelLoadFailed(f"EasyOCR cannot be imported: {error}", extra_remedy()) from error
    return easyocr


def _construct(easyocr: Any, folder: Path, languages: Sequence[str], device: str, quantize: bool) -> Any:
    path_before = list(sys.path)
    try:
        return easyocr.Reader(
            list(languages),
            gpu=False if device == "cpu" else device,
            model_storage_directory=str(folder),
            # Upstream makes this directory and imports from it; a second one in the home directory is not wanted.
            user_network_directory=str(folder),
            download_enabled=False,
            verbose=False,
            quantize=quantize,
        )
    finally:
        sys.path[:] = path_before


@contextmanager
def _tables_as_marked(
    easyocr: Any, torch: Any, folder: Path, languages: Sequence[str], marker: Marker | None
) -> Iterator[None]:
    """While synthetic weights are loaded, EasyOCR's table holds their MD5 sums, as their mark states them.

    Upstream opens its files with the full pickle reader, trusting their MD5. Nothing vouches for marked files, so they
    are opened once with the reader that takes tensors only.
    """
    if marker is None:
        yield
        return
    for filename in marker.files:
        torch.load(folder / filename, map_location="cpu", weights_only=True, mmap=True)
    rows = [_row(easyocr, spec) for spec in easyocr_models(languages)]
    before = [row["md5sum"] for row in rows]
    for row in rows:
        row["md5sum"] = marker.files.get(row["filename"], "")
    try:
        yield
    finally:
        for row, md5 in zip(rows, before, strict=True):
            row["md5sum"] = md5


def _row(easyocr: Any, spec: ModelSpec) -> dict[str, str]:
    from easyocr import config

    found: Any = {"detection": config.detection_models, "recognition": config.recognition_models}
    for step in spec.repository.split("/"):
        found = found[step]
    row: dict[str, str] = found
    return row


@contextmanager
def _as_load_failure(folder: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except (ImgtoolError, MemoryError):
        raise
    except Exception as error:
        text = f"EasyOCR cannot load its weights in {folder}: {type(error).__name__}: {error}"
        raise ModelLoadFailed(text, remedy) from error
