"""A compiled BLIP held to the one on torch: vision features, and captions of made-up pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from imgtool.artefacts.exported import Parity
from imgtool.inference.blip.parameters import Decoding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pictures = Sequence[NDArray[np.uint8]]

FEATURES_TOLERANCE = 1e-3
TIE = 1e-4
"""Scores nearer to each other than this, as a share of the larger, are alike: rounding decides between them."""

_SEARCHES = {"greedy": 1, "beams_3": 3}
_LENGTH = 20


def compare(network: Any, compiled: Any, seed: int, images: int) -> Parity:
    """``network`` is a ``BlipNetwork``, ``compiled`` a ``BlipGraphs``; ``images`` pictures of several shapes."""
    pictures = list(_pictures(seed, images))
    difference = _features_difference(network, compiled, pictures)
    figures, detail = {"vision_max_abs_difference": difference}, []
    for name, beams in _SEARCHES.items():
        equal, notes = _compare_captions(network, compiled, pictures, beams)
        figures[f"captions_equal_share_{name}"] = equal / images
        detail += [f"{name}: {note}" for note in notes]
    passed = difference <= FEATURES_TOLERANCE and all(": a tie: " in note for note in detail)
    return Parity(passed=passed, figures=figures, detail="; ".join(detail))


def _features_difference(network: Any, compiled: Any, pictures: Pictures) -> float:
    import numpy as np
    import torch

    with torch.inference_mode():
        expected = network.model.vision_model(_pixels(network, pictures))[0].numpy()
    return float(np.max(np.abs(compiled.features(pictures) - expected)))


def _compare_captions(network: Any, compiled: Any, pictures: Pictures, beams: int) -> tuple[int, list[str]]:
    """How many captions are equal, and a note for each that is not."""
    decoding = Decoding(beams, _LENGTH, 0, "")
    found = compiled.tokens(pictures, decoding)
    notes = []
    for picture, ours, theirs in zip(pictures, found, _generated(network, pictures, beams), strict=True):
        if ours != theirs:
            notes.append(_note(network, picture, *(_decided((ours, theirs)) if beams == 1 else (ours, theirs))))
        elif compiled.text(ours) != network.processor.decode(ours, skip_special_tokens=True).strip():
            notes.append(f"a difference: the tokens {ours} are written in two ways")
    return len(pictures) - len(notes), notes


def _generated(network: Any, pictures: Pictures, beams: int) -> list[list[int]]:
    """The new tokens by transformers' ``generate``, each up to the one that ends it."""
    pixels, end = _pixels(network, pictures), network.model.config.text_config.sep_token_id
    rows = network.model.generate(pixel_values=pixels, max_new_tokens=_LENGTH, num_beams=beams, do_sample=False)
    answers = [row[1:] for row in rows.tolist()]
    return [row[: row.index(end) + 1] if end in row else row for row in answers]


def _decided(both: tuple[list[int], list[int]]) -> Iterator[list[int]]:
    """Two greedy answers up to the first token that differs: what follows is not a decision between the two."""
    length = next(place for place, (one, other) in enumerate(zip(*both, strict=False)) if one != other) + 1
    return (each[:length] for each in both)


def _note(network: Any, picture: NDArray[np.uint8], ours: list[int], theirs: list[int]) -> str:
    scores = [_score(network, picture, tokens) for tokens in (ours, theirs)]
    tie = abs(scores[0] - scores[1]) <= TIE * max(map(abs, scores))
    return f"{'a tie: ' if tie else 'a difference: '}torch scores them {scores[0]:.7g} and {scores[1]:.7g}"


def _score(network: Any, picture: NDArray[np.uint8], tokens: list[int]) -> float:
    """The mean log-probability of ``tokens`` as a caption, by torch, without a cache."""
    import torch

    begin = network.model.config.text_config.bos_token_id
    with torch.inference_mode():
        seen = network.model.vision_model(_pixels(network, [picture]))[0]
        given = torch.tensor([[begin, *tokens[:-1]]])
        logits = network.model.text_decoder(input_ids=given, encoder_hidden_states=seen).logits[0]
        chosen = logits.log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])
    return float(chosen.mean())


def _pixels(network: Any, pictures: Pictures) -> Any:
    from PIL import Image

    images = [Image.fromarray(pixels) for pixels in pictures]
    return network.processor(images=images, return_tensors="pt")["pixel_values"]


def _pictures(seed: int, count: int) -> Iterator[NDArray[np.uint8]]:
    """Coloured blocks, all different, in sizes from 16 to 700 pixels."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(seed)
    for _ in range(count):
        blocks = generator.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        width, height = (int(side) for side in generator.integers(16, 700, 2))
        yield np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.BILINEAR))
