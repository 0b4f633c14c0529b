"""``easyocr``: lines of text by EasyOCR's networks, compiled by ``warm-cache`` and run without torch or EasyOCR."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers.compiled import probe_compiled
from imgtool.analyzers.interface import AnalyzerSpec, Probe
from imgtool.analyzers.text.easyocr import EasyOcr
from imgtool.artefacts.find import find_easyocr, precision_parameters
from imgtool.inference.easyocr.parameters import reading_parameters
from imgtool.types import Backend, Task
from imgtool.weights.languages import RECOGNISERS, with_usual_codes
from imgtool.weights.warm_command import easyocr_command

if TYPE_CHECKING:
    from imgtool.options import EngineOptions


class EasyOcrOnnx(EasyOcr):
    """EasyOCR's answers from a compiled model. Needs onnxruntime, numpy, Pillow and OpenCV."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="easyocr",
        task=Task.TEXT.value,
        version="1",
        backend=Backend.ONNX,
        summary="lines of text by EasyOCR (CRAFT and a recogniser by language), compiled",
        licence="Apache-2.0",
    )

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Available if a compiled model for the languages is here and complete, and the CPU may be used."""
        found = probe_compiled(options, find_easyocr)
        if not found.available:
            return found
        return replace(found, languages=with_usual_codes(RECOGNISERS[found.model].languages))

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """Languages in EasyOCR's codes, what differs from its defaults, the precision, and the folder under ``paths``.

        Raises:
            UsageProblem: EasyOCR does not read these languages together, or there is no such decoder.
            ModelMissing: there is no usable compiled model of them here.
        """
        artefact = find_easyocr(options)
        return {
            **reading_parameters(options),
            # Cached separately from torch's answers: the confidences differ in their last digits.
            **precision_parameters(artefact, options.precision.value),
            "paths": {"artefact": str(artefact.folder)},
            "remedy": easyocr_command(options).compiling,
        }

    def import_libraries(self) -> None:
        """Import what runs the graphs."""
        import onnxruntime  # noqa: F401

        import imgtool.inference.easyocr.graphs  # noqa: F401

    def load(self) -> None:
        """Open both graphs.

        Raises:
            ModelLoadFailed: the compiled model is not for these languages, or damaged.
        """
        from imgtool.inference.easyocr.graphs import EasyOcrGraphs
        from imgtool.inference.sessions import opening

        given = self.parameters_given
        folder = Path(given["paths"]["artefact"])
        with opening("EasyOCR", folder, given["remedy"]):
            self._reader = EasyOcrGraphs(folder, given["languages"], given.get("threads"), given["precision"])
