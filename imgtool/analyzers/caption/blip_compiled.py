"""``blip``: captions by BLIP, compiled by ``warm-cache`` and run by onnxruntime, without torch or transformers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers.caption.blip import Blip
from imgtool.analyzers.compiled import probe_compiled
from imgtool.analyzers.interface import AnalyzerSpec, Probe
from imgtool.artefacts.find import find_blip, precision_parameters
from imgtool.inference.blip.parameters import check_precision, writing_parameters
from imgtool.types import Backend, Task
from imgtool.weights.warm_command import blip_command

if TYPE_CHECKING:
    from imgtool.options import EngineOptions


class BlipOnnx(Blip):
    """BLIP's answers from a compiled model. Needs onnxruntime, numpy and tokenizers."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="blip",
        task=Task.CAPTION.value,
        version="2",
        backend=Backend.ONNX,
        summary="captions by BLIP, compiled",
        licence="BSD-3-Clause (BLIP's weights)",
        batched=True,
        same_answers_as=Backend.TORCH,
    )

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Available if the compiled model is here and complete, and the CPU may be used."""
        return probe_compiled(options, find_blip)

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """The decoding, the precision, and under ``paths`` the folder of the compiled model.

        Raises:
            UsageProblem: a length or the number of beams is invalid.
            ModelMissing: there is no usable compiled model here.
        """
        artefact = find_blip(options)
        return {
            **writing_parameters(options),
            **precision_parameters(artefact, check_precision(options, "onnx", "exact", "fast")),
            # Also part of torch's fingerprint: both share cached answers.
            "device": options.device,
            "paths": {"artefact": str(artefact.folder)},
            "remedy": blip_command(options).compiling,
        }

    def import_libraries(self) -> None:
        """Import what runs the graphs."""
        import onnxruntime  # noqa: F401
        import tokenizers  # noqa: F401

        import imgtool.inference.blip.graphs  # noqa: F401

    def load(self) -> None:
        """Open both graphs and the tokenizer.

        Raises:
            ModelLoadFailed: the compiled model is damaged.
        """
        from imgtool.inference.blip.graphs import BlipGraphs
        from imgtool.inference.sessions import opening

        given = self.parameters_given
        folder = Path(given["paths"]["artefact"])
        with opening("BLIP", folder, given["remedy"]):
            self._network = BlipGraphs(folder, given.get("threads"), given["precision"], given.get("share"))
