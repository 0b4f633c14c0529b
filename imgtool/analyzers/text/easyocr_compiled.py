"""``easyocr``: lines of text by EasyOCR's networks, compiled by ``warm-cache`` and run without torch or EasyOCR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Answer, Probe
from imgtool.errors import ImgtoolError
from imgtool.inference.easyocr.parameters import reading_parameters
from imgtool.inference.picture import Picture
from imgtool.types import Backend, Problem, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgtool.inference.easyocr.graphs import EasyOcrGraphs
    from imgtool.options import EngineOptions


class EasyOcrOnnx(Analyzer):
    """EasyOCR's answers from a compiled model. Needs onnxruntime, numpy, Pillow and OpenCV; never downloads."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="easyocr",
        task=Task.TEXT.value,
        version="1",
        backend=Backend.ONNX,
        summary="lines of text by EasyOCR (CRAFT and a recogniser by language), compiled",
        licence="Apache-2.0",
    )
    libraries = ("imgtool.inference.easyocr.graphs", "onnxruntime")

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._graphs: EasyOcrGraphs | None = None

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Available where a compiled model for the languages asked for is here and whole, and a CPU will do."""
        from imgtool.artefacts.find import find_easyocr, why_unused
        from imgtool.weights.languages import RECOGNISERS, with_usual_codes

        if options.device not in ("auto", "cpu"):
            reason = f"compiled models run on the CPU, not on {options.device}"
            return Probe(False, reason=reason, remedy="use --device cpu")
        try:
            artefact = find_easyocr(options)
        except ImgtoolError as problem:
            return Probe(False, reason=str(problem), remedy=problem.remedy, notice=why_unused(problem))
        found = artefact.manifest
        return Probe(
            True,
            model=found.model,
            model_version=found.model_version,
            languages=with_usual_codes(RECOGNISERS[found.model].languages),
            size_bytes=found.size_bytes,
            notice=artefact.notice,
        )

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """Languages in EasyOCR's codes, what differs from its defaults, the precision, and the folder under ``paths``.

        Raises:
            UsageProblem: EasyOCR does not read these languages together, or there is no such decoder.
            ModelMissing: there is no compiled model of them here that could be used.
        """
        from imgtool.artefacts.find import find_easyocr, precision_parameters
        from imgtool.weights.warm_command import bake_easyocr

        artefact = find_easyocr(options)
        return {
            **reading_parameters(options),
            # Not kept together with torch's answers: the confidences differ in their last digits.
            **precision_parameters(artefact, options.precision.value),
            "paths": {"artefact": str(artefact.folder)},
            "remedy": bake_easyocr(options).mending,
        }

    def load(self) -> None:
        """Open both graphs.

        Raises:
            ModelLoadFailed: the compiled model is not for these languages, or damaged.
        """
        from imgtool.inference.easyocr.graphs import EasyOcrGraphs
        from imgtool.inference.sessions import REMEDY, opening

        given = self.parameters_given
        folder = Path(given["paths"]["artefact"])
        with opening("EasyOCR", folder, given.get("remedy", REMEDY)):
            self._graphs = EasyOcrGraphs(folder, given["languages"], given.get("threads"), given["precision"])

    def warm_up(self) -> None:
        """Read a small page with one dark bar, so that the recogniser runs too."""
        import numpy as np

        pixels: NDArray[np.uint8] = np.full((64, 160, 3), 235, dtype=np.uint8)
        pixels[20:44, 20:140] = 20
        self.run([Picture(pixels, 160, 64, "")])

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        """The lines of each picture as a tuple of :class:`imgtool.types.TextLine`.

        Raises:
            MemoryError: a picture does not fit into memory.
        """
        if self._graphs is None:
            raise RuntimeError("load() comes before run()")
        detect, recognize = self.parameters_given["detect"], self.parameters_given["recognize"]
        return [tuple(self._graphs.read(picture, detect, recognize)) for picture in pictures]

    def close(self) -> None:
        """Free the model."""
        self._graphs = None
