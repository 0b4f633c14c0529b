"""``blip``: captions by BLIP, run by transformers on torch as upstream publishes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers._blip_weights import find_weights
from imgtool.analyzers._torch import EXTRA_REMEDY, check_device, missing_modules
from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Answer, Picture, Probe
from imgtool.errors import ImgtoolError, UsageProblem
from imgtool.types import Backend, Problem, Task

if TYPE_CHECKING:
    from imgtool.analyzers._blip_network import BlipNetwork
    from imgtool.config import EngineOptions

MAX_NEW_TOKENS = 30
"""More than any caption of BLIP's training sets; transformers' own default of 20 cuts some sentences off."""


class BlipTorch(Analyzer):
    """``BlipForConditionalGeneration``: greedy or beam search, from nothing or from a prompt. Never downloads."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="blip",
        task=Task.CAPTION.value,
        version="1",
        backend=Backend.TORCH,
        summary="captions by BLIP, through transformers on torch",
        licence="BSD-3-Clause (BLIP's weights)",
        batched=True,
    )

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._network: BlipNetwork | None = None

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Available where torch and transformers are installed and the weights are here; imports neither."""
        if missing := missing_modules("torch", "torchvision", "transformers"):
            return Probe(False, reason=f"{' and '.join(missing)} not installed", remedy=EXTRA_REMEDY)
        try:
            found = find_weights(*_model_and_revision(options))
        except ImgtoolError as problem:
            return Probe(False, reason=str(problem), remedy=problem.remedy)
        return Probe(True, model=found.model, model_version=found.version, size_bytes=found.size_bytes)

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """How captions are written, where to run, and under ``paths`` the folder with the weights.

        Raises:
            UsageProblem: a length, the number of beams, the device or the precision makes no sense.
            ModelMissing: the weights are not here.
        """
        beams, longest, shortest = (_whole(options, *limit) for limit in _LIMITS)
        if shortest > longest:
            raise UsageProblem(f"--min-new-tokens {shortest} exceeds --max-new-tokens {longest}", "lower it")
        return {
            "paths": {"model": str(find_weights(*_model_and_revision(options)).folder)},
            "beams": beams,
            "max_new_tokens": longest,
            "min_new_tokens": shortest,
            "prompt": (getattr(options, "caption_prompt", None) or "").strip(),
            "device": check_device(getattr(options, "device", "auto")),
            "precision": _precision(getattr(options, "precision", "exact")),
        }

    def load(self) -> None:
        """Import torch and transformers, build the model, and move it to its device.

        Raises:
            ModelLoadFailed: a library, a device or a file is missing or damaged, with the remedy.
        """
        from imgtool.analyzers._blip_network import BlipNetwork

        given = self.parameters_given
        self._network = BlipNetwork(Path(given["paths"]["model"]), given["device"], given.get("threads"))

    def warm_up(self) -> None:
        """Caption a black picture."""
        import numpy as np

        self.run([Picture(np.zeros((32, 32, 3), dtype=np.uint8), 32, 32, "")])

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        """One caption a picture, all in one batch.

        Raises:
            MemoryError: the batch does not fit into memory.
        """
        from imgtool.analyzers._blip_network import Decoding

        if self._network is None:
            raise RuntimeError("load() comes before run()")
        given = self.parameters_given
        decoding = Decoding(given["beams"], given["max_new_tokens"], given["min_new_tokens"], given["prompt"])
        return list(self._network.caption([picture.pixels for picture in pictures], decoding))

    def close(self) -> None:
        """Free the model."""
        self._network = None


_LIMITS = (("num_beams", 1, 1), ("max_new_tokens", MAX_NEW_TOKENS, 1), ("min_new_tokens", 0, 0))
"""Option, default, smallest value that makes sense."""


def _model_and_revision(options: EngineOptions) -> tuple[str | None, str | None]:
    model, revision = getattr(options, "caption_model", None), getattr(options, "caption_revision", None)
    return (str(model) if model is not None else None), revision


def _whole(options: EngineOptions, name: str, default: int, least: int) -> int:
    value = getattr(options, name, default)
    if value < least:
        raise UsageProblem(f"--{name.replace('_', '-')} must be at least {least}, not {value}", "")
    return int(value)


def _precision(precision: str) -> str:
    if precision != "exact":
        raise UsageProblem(f"blip on torch computes in single precision, not {precision!r}", "use --precision exact")
    return precision
