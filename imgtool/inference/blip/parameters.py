"""How captions are written: options that torch and the compiled model share. Light, as a probe must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.errors import UsageProblem

if TYPE_CHECKING:
    from imgtool.options import EngineOptions


@dataclass(frozen=True)
class Decoding:
    """How captions are written: ``beams`` of 1 is greedy; lengths in new tokens; ``prompt`` is how they begin."""

    beams: int
    max_new_tokens: int
    min_new_tokens: int
    prompt: str

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Decoding:
        """The one that ``parameters``, as :func:`writing_parameters` made them, describe."""
        return cls(*(parameters[name] for name in ("beams", "max_new_tokens", "min_new_tokens", "prompt")))


def writing_parameters(options: EngineOptions) -> dict[str, Any]:
    """``beams``, ``max_new_tokens``, ``min_new_tokens`` and ``prompt``.

    Raises:
        UsageProblem: the shortest caption allowed is longer than the longest.
    """
    longest, shortest = options.max_new_tokens, options.min_new_tokens
    if shortest > longest:
        raise UsageProblem(f"--min-new-tokens {shortest} exceeds --max-new-tokens {longest}", "lower it")
    prompt = (options.caption_prompt or "").strip()
    return {"beams": options.num_beams, "max_new_tokens": longest, "min_new_tokens": shortest, "prompt": prompt}


def check_precision(options: EngineOptions, backend: str, *offered: str) -> str:
    """The precision asked for.

    Raises:
        UsageProblem: ``backend`` does not offer it.
    """
    if options.precision.value not in offered:
        raise UsageProblem(
            f"blip on {backend} computes in no precision called {options.precision.value!r}",
            f"use --precision {' or '.join(offered)}",
        )
    return options.precision.value
