"""``blip``: captions by BLIP, compiled by ``warm-cache`` and run by onnxruntime, without torch or transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Answer, Probe
from imgtool.errors import ImgtoolError
from imgtool.inference.blip.parameters import Decoding, check_precision, writing_parameters
from imgtool.inference.picture import Picture
from imgtool.types import Backend, Problem, Task

if TYPE_CHECKING:
    from imgtool.inference.blip.graphs import BlipGraphs
    from imgtool.options import EngineOptions


class BlipOnnx(Analyzer):
    """BLIP's answers from a compiled model. Needs onnxruntime, numpy and tokenizers; never downloads."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="blip",
        task=Task.CAPTION.value,
        version="1",
        backend=Backend.ONNX,
        summary="captions by BLIP, compiled",
        licence="BSD-3-Clause (BLIP's weights)",
        batched=True,
        same_answers_as=Backend.TORCH,
    )
    libraries = ("imgtool.inference.blip.graphs", "onnxruntime", "tokenizers")

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._graphs: BlipGraphs | None = None

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Available where the compiled model is here, whole and made for this machine, and a CPU will do."""
        from imgtool.artefacts.find import find_blip, why_unused

        if (device := getattr(options, "device", "auto")) not in ("auto", "cpu"):
            return Probe(False, reason=f"compiled models run on the CPU, not on {device}", remedy="use --device cpu")
        try:
            artefact = find_blip(options)
        except ImgtoolError as problem:
            return Probe(False, reason=str(problem), remedy=problem.remedy, notice=why_unused(problem))
        found = artefact.manifest
        return Probe(
            True,
            model=found.model,
            model_version=found.model_version,
            size_bytes=found.size_bytes,
            notice=artefact.notice,
        )

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """How captions are written, the precision, and under ``paths`` the folder of the compiled model.

        Raises:
            UsageProblem: a length or the number of beams makes no sense.
            ModelMissing: there is no compiled model here that could be used.
        """
        from imgtool.artefacts.find import find_blip, precision_parameters
        from imgtool.weights.warm_command import bake_blip

        artefact = find_blip(options)
        return {
            **writing_parameters(options),
            **precision_parameters(artefact, check_precision(options, "onnx", "exact", "fast")),
            # Part of what torch answers under, too: the two share what they keep.
            "device": options.device,
            "paths": {"artefact": str(artefact.folder)},
            "remedy": bake_blip(options).mending,
        }

    def load(self) -> None:
        """Open both graphs and the tokenizer.

        Raises:
            ModelLoadFailed: the compiled model is damaged.
        """
        from imgtool.inference.blip.graphs import BlipGraphs
        from imgtool.inference.sessions import REMEDY, opening

        given = self.parameters_given
        folder = Path(given["paths"]["artefact"])
        with opening("BLIP", folder, given.get("remedy", REMEDY)):
            self._graphs = BlipGraphs(folder, given.get("threads"), given["precision"], given.get("share"))

    def warm_up(self) -> None:
        """Caption a black picture."""
        import numpy as np

        self.run([Picture(np.zeros((32, 32, 3), dtype=np.uint8), 32, 32, "")])

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        """One caption a picture, all in one batch.

        Raises:
            MemoryError: the batch does not fit into memory.
        """
        if self._graphs is None:
            raise RuntimeError("load() comes before run()")
        pixels = [picture.pixels for picture in pictures]
        return list(self._graphs.caption(pixels, Decoding.of(self.parameters_given)))

    def close(self) -> None:
        """Free the model."""
        self._graphs = None
