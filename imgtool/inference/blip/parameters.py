"""How captions are written: options that torch and the compiled model share. Light, as a probe must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.errors import UsageProblem

if TYPE_CHECKING:
    from imgtool.options import EngineOptions

MAX_NEW_TOKENS = 30
"""More than any caption of BLIP's training sets; transformers' own default of 20 cuts some sentences off."""

_LIMITS = (("num_beams", 1, 1), ("max_new_tokens", MAX_NEW_TOKENS, 1), ("min_new_tokens", 0, 0))
"""Option, default, smallest value that makes sense."""


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
        UsageProblem: a length or the number of beams makes no sense.
    """
    beams, longest, shortest = (_whole(options, *limit) for limit in _LIMITS)
    if shortest > longest:
        raise UsageProblem(f"--min-new-tokens {shortest} exceeds --max-new-tokens {longest}", "lower it")
    return {
        "beams": beams,
        "max_new_tokens": longest,
        "min_new_tokens": shortest,
        "prompt": (getattr(options, "caption_prompt", None) or "").strip(),
    }


def check_precision(options: EngineOptions, backend: str, *offered: str) -> str:
    """The precision asked for.

    Raises:
        UsageProblem: ``backend`` does not offer it.
    """
    asked = getattr(options, "precision", "exact")
    found = next((name for name in offered if name == asked), None)
    if found is None:
        raise UsageProblem(
            f"blip on {backend} computes in no precision called {getattr(asked, 'value', asked)!r}",
            f"use --precision {' or '.join(offered)}",
        )
    return found


def _whole(options: EngineOptions, name: str, default: int, least: int) -> int:
    value = getattr(options, name, default)
    if value < least:
        raise UsageProblem(f"--{name.replace('_', '-')} must be at least {least}, not {value}", "")
    return int(value)
