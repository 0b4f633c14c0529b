"""A compiled BLIP compared with the one on torch: vision features, and captions of made-up pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.artefacts.manifest import Parity
from imgtool.inference.blip.parameters import Decoding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imgtool.inference.blip.graphs import BlipGraphs
    from imgtool.inference.blip.upstream import BlipNetwork

    Pictures = Sequence[NDArray[np.uint8]]

FEATURES_TOLERANCE = 1e-3
TIE = 1e-4
"""Scores nearer to each other than this, as a share of the larger, are alike: rounding decides between them."""

_SEARCHES = {"greedy": 1, "beams_3": 3}
_LENGTH = 20


def check_parity(source: Path, artefact: Path, threads: int | None = None, *, seed: int = 0, images: int = 4) -> Parity:
    """Compare the compiled model in ``artefact``, run as the analyzer runs it, with the one in ``source`` on torch.

    Vision features may differ by 1e-3. The captions of ``images`` made-up pictures must be the same, greedy and with
    three beams, except where torch itself scores two captions alike.

    Raises:
        ImgtoolError: one of the two cannot be loaded.
    """
    import numpy as np

    from imgtool.inference.blip.graphs import BlipGraphs
    from imgtool.inference.blip.upstream import BlipNetwork

    network, compiled = BlipNetwork(source, "cpu", threads, ""), BlipGraphs(artefact, threads)
    pictures = list(_pictures(seed, images))
    difference = float(np.max(np.abs(compiled.features(pictures) - _features(network, pictures).numpy())))
    figures, detail = {"vision_max_abs_difference": difference}, []
    for name, beams in _SEARCHES.items():
        notes = _differing_captions(network, compiled, pictures, beams)
        figures[f"captions_equal_share_{name}"] = (images - len(notes)) / images
        detail += [f"{name}: {note}" for note in notes]
    passed = difference <= FEATURES_TOLERANCE and all(": a tie: " in note for note in detail)
    return Parity(passed=passed, figures=figures, detail="; ".join(detail))


def _differing_captions(network: BlipNetwork, compiled: BlipGraphs, pictures: Pictures, beams: int) -> list[str]:
    """A note for each caption that is not equal."""
    pixels, end = _pixels(network, pictures), network.model.config.text_config.sep_token_id
    rows = network.model.generate(pixel_values=pixels, max_new_tokens=_LENGTH, num_beams=beams, do_sample=False)
    notes = []
    found = compiled.tokens(pictures, Decoding(beams, _LENGTH, 0, ""))
    for picture, ours, row in zip(pictures, found, rows.tolist(), strict=True):
        # The new tokens by transformers' generate, up to the one that ends them.
        theirs = row[1 : row.index(end, 1) + 1] if end in row[1:] else row[1:]
        if ours == theirs:
            if compiled.text(ours) != network.processor.decode(ours, skip_special_tokens=True).strip():
                notes.append(f"a difference: the tokens {ours} are written in two ways")
            continue
        length = None
        if beams == 1:
            # Up to the first token that differs: what follows is not a decision between the two.
            length = next(place for place, pair in enumerate(zip(ours, theirs, strict=False), 1) if pair[0] != pair[1])
        notes.append(judged(network, picture, ours[:length], theirs[:length]))
    return notes


def judged(network: BlipNetwork, picture: NDArray[np.uint8], ours: list[int], theirs: list[int]) -> str:
    """Whether two captions that differ are a tie to torch, in words."""
    one, other = (_score(network, picture, tokens) for tokens in (ours, theirs))
    tie = abs(one - other) <= TIE * max(abs(one), abs(other))
    return f"{'a tie: ' if tie else 'a difference: '}torch scores them {one:.7g} and {other:.7g}"


def _score(network: BlipNetwork, picture: NDArray[np.uint8], tokens: list[int]) -> float:
    """The mean log-probability of ``tokens`` as a caption, by torch, without a cache."""
    import torch

    begin = network.model.config.text_config.bos_token_id
    seen = _features(network, [picture])
    with torch.inference_mode():
        given = torch.tensor([[begin, *tokens[:-1]]])
        logits = network.model.text_decoder(input_ids=given, encoder_hidden_states=seen).logits[0]
        chosen = logits.log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])
    return float(chosen.mean())


def _features(network: BlipNetwork, pictures: Pictures) -> Any:
    import torch

    with torch.inference_mode():
        return network.model.vision_model(_pixels(network, pictures))[0]


def _pixels(network: BlipNetwork, pictures: Pictures) -> Any:
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
