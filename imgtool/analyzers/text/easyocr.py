"""``easyocr``: lines of text by EasyOCR, run on torch as upstream publishes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Answer, Probe
from imgtool.analyzers.text.reading_order import in_reading_order
from imgtool.errors import ImgtoolError
from imgtool.inference.easyocr.parameters import reading_parameters
from imgtool.inference.picture import Picture
from imgtool.inference.torch import check_device, extra_remedy, import_torch, missing_modules
from imgtool.types import Backend, Problem, Task
from imgtool.weights.on_disk.easyocr import how_to_repair, readable_languages, weights_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgtool.inference.easyocr.graphs import EasyOcrGraphs
    from imgtool.inference.easyocr.upstream import EasyOcrReader
    from imgtool.options import EngineOptions


class EasyOcr(Analyzer):
    """Base of both implementations: any set of languages that EasyOCR reads together. Neither downloads."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._reader: EasyOcrReader | EasyOcrGraphs | None = None

    def warm_up(self) -> None:
        """Read a small page with one dark bar, so that the recogniser runs too."""
        import numpy as np

        pixels: NDArray[np.uint8] = np.full((64, 160, 3), 235, dtype=np.uint8)
        pixels[20:44, 20:140] = 20
        self.run([Picture(pixels, 160, 64, "")])

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        """The lines of each picture as a tuple of :class:`imgtool.types.TextLine`, in EasyOCR's own order by default.

        Raises:
            MemoryError: a picture does not fit into memory.
        """
        if self._reader is None:
            raise RuntimeError("load() comes before run()")
        detect, recognize = self.parameters_given["detect"], self.parameters_given["recognize"]
        arranged = in_reading_order if self.parameters_given.get("order") == "columns" else tuple
        return [arranged(self._reader.read(picture, detect, recognize)) for picture in pictures]

    def close(self) -> None:
        """Free the model."""
        self._reader = None


class EasyOcrTorch(EasyOcr):
    """``easyocr.Reader``."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="easyocr",
        task=Task.TEXT.value,
        version="1",
        backend=Backend.TORCH,
        summary="lines of text by EasyOCR (CRAFT and a recogniser by language) on torch",
        licence="Apache-2.0",
    )

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Available if EasyOCR is installed, reads the languages together, and its files are here."""
        if missing := missing_modules("torch", "torchvision", "easyocr"):
            return Probe(False, reason=f"{' and '.join(missing)} not installed", remedy=extra_remedy())
        try:
            readable, found = readable_languages(options), weights_for(options)
        except ImgtoolError as problem:
            return Probe(False, reason=str(problem), remedy=problem.remedy)
        return Probe(
            True, model=found.recogniser, model_version=found.version, languages=readable, size_bytes=found.size_bytes
        )

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """Languages in EasyOCR's codes, what differs from its defaults, the device, and the folder under ``paths``.

        Raises:
            UsageProblem: EasyOCR does not read these languages together, or there is no such decoder or device.
            ModelMissing: the weights are not here.
        """
        return {
            **reading_parameters(options),
            "paths": {"folder": str(weights_for(options).folder)},
            "remedy": how_to_repair(options),
            "device": check_device(options.device),
            "precision": str(options.precision.value),
        }

    def import_libraries(self) -> None:
        """Import torch and EasyOCR."""
        import_torch(self.parameters_given.get("threads"))

        import easyocr  # noqa: F401

    def load(self) -> None:
        """Import torch and EasyOCR, check and load both networks.

        Raises:
            ModelLoadFailed: a library, a device or a file is missing or damaged, with the remedy.
        """
        from imgtool.inference.easyocr.upstream import EasyOcrReader

        given = self.parameters_given
        self._reader = EasyOcrReader(
            Path(given["paths"]["folder"]),
            given["languages"],
            given["device"],
            given.get("threads"),
            # Upstream's own default on the CPU is a recogniser in 8-bit integers, whose answers differ.
            quantize=given["precision"] == "fast",
            remedy=given["remedy"],
        )
