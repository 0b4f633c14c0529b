"""``blip``: captions by BLIP, run by transformers on torch as upstream publishes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Answer, Probe
from imgtool.errors import ImgtoolError
from imgtool.inference.blip.parameters import Decoding, check_precision, writing_parameters
from imgtool.inference.picture import Picture
from imgtool.inference.torch import check_device, extra_remedy, import_torch, missing_modules
from imgtool.types import Backend, Problem, Task
from imgtool.weights.on_disk.blip import how_to_repair, manifest_of, weights_for

if TYPE_CHECKING:
    from imgtool.inference.blip.graphs import BlipGraphs
    from imgtool.inference.blip.upstream import BlipNetwork
    from imgtool.options import EngineOptions


_CLEAR = 0.2
"""The share of an image from which on what is transparent of it is its background, and no rounded corner."""

_GROUND = re.compile(
    r"\b(?P<where>(?:on|in|against|with|over|and) )?an? (?:(?:plain|solid|pure|simple|bright|light|dark) )*"
    r"(?:white|black|gr[ae]y|transparent) (?:back ?ground|backdrop)\b"
)


def on_nothing(caption: str) -> str:
    """The caption of a transparent picture: the ground on which the model saw it is not the picture's."""
    if not caption or "transparent" in caption:
        return caption
    said, count = _GROUND.subn(lambda found: f"{found['where'] or ''}a transparent background", caption)
    return said if count else f"{caption} on a transparent background"


class Blip(Analyzer):
    """Base of both implementations: greedy or beam search, with or without a prompt. Neither downloads."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._network: BlipNetwork | BlipGraphs | None = None

    def warm_up(self) -> None:
        """Caption a black picture."""
        import numpy as np

        self.run([Picture(np.zeros((32, 32, 3), dtype=np.uint8), 32, 32, "")])

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        """One caption a picture, all in one batch.

        Raises:
            MemoryError: the batch does not fit into memory.
        """
        if self._network is None:
            raise RuntimeError("load() comes before run()")
        decoding = Decoding.of(self.parameters_given)
        captions = self._network.caption([picture.pixels for picture in pictures], decoding)
        return [
            on_nothing(caption) if picture.clear >= _CLEAR else caption
            for picture, caption in zip(pictures, captions, strict=True)
        ]

    def close(self) -> None:
        """Free the model."""
        self._network = None


class BlipTorch(Blip):
    """``BlipForConditionalGeneration``."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="blip",
        task=Task.CAPTION.value,
        version="2",
        backend=Backend.TORCH,
        summary="captions by BLIP, through transformers on torch",
        licence="BSD-3-Clause (BLIP's weights)",
        batched=True,
    )

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Available if torch and transformers are installed and the weights are here; imports neither."""
        if missing := missing_modules("torch", "torchvision", "transformers"):
            return Probe(False, reason=f"{' and '.join(missing)} not installed", remedy=extra_remedy())
        try:
            found = weights_for(options)
        except ImgtoolError as problem:
            return Probe(False, reason=str(problem), remedy=problem.remedy)
        return Probe(True, model=found.model, model_version=found.version, size_bytes=found.size_bytes)

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """The decoding, the device, and under ``paths`` the folder with the weights.

        Raises:
            UsageProblem: a length, the number of beams, the device or the precision is invalid.
            ModelMissing: the weights are not here.
        """
        return {
            **writing_parameters(options),
            "paths": {"model": str(folder := weights_for(options).folder), "manifest": manifest_of(folder, options)},
            "remedy": how_to_repair(options),
            "device": check_device(options.device),
            "precision": check_precision(options, "torch", "exact"),
        }

    def import_libraries(self) -> None:
        """Import torch, and of transformers what BLIP needs."""
        import_torch(self.parameters_given.get("threads"))

        import transformers.models.blip.modeling_blip
        import transformers.models.blip.processing_blip  # noqa: F401

    def load(self) -> None:
        """Import torch and transformers, build the model, and move it to its device.

        Raises:
            ModelLoadFailed: a library, a device or a file is missing or damaged, with the remedy.
        """
        from imgtool.inference.blip.upstream import BlipNetwork
        from imgtool.weights.store import require_verified

        given = self.parameters_given
        folder = Path(given["paths"]["model"])
        require_verified(folder, given["paths"]["manifest"], given["remedy"])
        self._network = BlipNetwork(folder, given["device"], given.get("threads"), given["remedy"])
