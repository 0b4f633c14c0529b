"""BLIP compiled: its two graphs, its tokenizer and its settings, made from the files that transformers loads.

Two graphs, ``vision`` and ``decoder`` (:mod:`imgtool.compiling.blip.graphs` says what goes in and comes out).
Compiling processes only: they import torch and transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgtool.compiling.blip.graphs import DECODER, VISION, Sizes, write_decoder, write_vision
from imgtool.compiling.interface import Ask, Export
from imgtool.compiling.onnx_writer import OPSET
from imgtool.inference.torch import extra_remedy
from imgtool.weights.errors import FileRefused, LibraryMissing

_BICUBIC = 3

_PLAIN_GENERATION: Mapping[str, tuple[Any, ...]] = {
    "repetition_penalty": (None, 1.0),
    "encoder_repetition_penalty": (None, 1.0),
    "length_penalty": (None, 1.0),
    "no_repeat_ngram_size": (None, 0),
    "encoder_no_repeat_ngram_size": (None, 0),
    "min_length": (None, 0),
    "early_stopping": (None, False),
    "num_beam_groups": (None, 1),
    "diversity_penalty": (None, 0.0),
    "guidance_scale": (None, 1.0),
    "remove_invalid_values": (None, False),
    "renormalize_logits": (None, False),
    **dict.fromkeys(("bad_words_ids", "sequence_bias", "stop_strings", "max_time", "watermarking_config"), (None,)),
    **dict.fromkeys(("forced_bos_token_id", "forced_eos_token_id", "exponential_decay_length_penalty"), (None,)),
    **dict.fromkeys(("suppress_tokens", "begin_suppress_tokens"), (None,)),
}
"""Settings of transformers' ``generate`` that change captions, with the values that change nothing."""


def export(source: Path, into: Path, remedy: str = "") -> Export:
    """Write the graphs and the tokenizer of the BLIP in the folder ``source`` into ``into``; ``remedy`` is what
    to do where a file of it is damaged.

    Raises:
        LibraryMissing: a library that compiling needs is not installed.
        FileRefused: the model differs from BLIP as published in a way that the compiled one could not follow.
        ImgtoolError: the weights are missing or damaged.
        OSError: the folder cannot be written.
    """
    try:
        import onnx
    except ImportError as error:
        raise LibraryMissing(f"onnx cannot be imported: {error}", extra_remedy()) from error
    from imgtool.inference.blip.upstream import BlipNetwork

    network = BlipNetwork(source, "cpu", None, remedy)
    model, processor = network.model, network.processor
    _check_supported(model, processor, source)
    into.mkdir(parents=True, exist_ok=True)
    text, image = model.config.text_config, processor.image_processor
    heads, side = text.num_attention_heads, model.config.vision_config.image_size
    sizes = Sizes(text.num_hidden_layers, heads, text.hidden_size // heads, text.vocab_size, side)
    write_vision(model, sizes, into)
    write_decoder(model, sizes, into)
    processor.tokenizer.backend_tokenizer.save(str(into / "tokenizer.json"), pretty=False)
    settings = {
        "image": {
            "height": side,
            "width": side,
            "mean": list(image.image_mean),
            "std": list(image.image_std),
            "rescale_factor": image.rescale_factor,
        },
        "tokens": {"begin": text.bos_token_id, "end": text.sep_token_id, "padding": text.pad_token_id},
        "clean_up_spaces": bool(processor.tokenizer.clean_up_tokenization_spaces),
        "positions": text.max_position_embeddings,
        "layers": sizes.layers,
        "heads": sizes.heads,
        "head_size": sizes.head_size,
        "vocabulary": sizes.vocabulary,
    }
    return Export((VISION, DECODER), settings, f"imgtool, onnx {onnx.__version__}", OPSET)


def answering(folder: Path, precision: str, threads: int) -> Ask:
    """Captions of four pictures of random colours, (384, 384, 3) uint8."""
    import numpy as np

    from imgtool.inference.blip.graphs import BlipGraphs
    from imgtool.inference.blip.parameters import Decoding

    graphs, pictures = BlipGraphs(folder, threads, precision), []
    for seed in range(4):
        coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        pictures.append(coarse.repeat(32, axis=0).repeat(32, axis=1))
    return lambda: graphs.caption(pictures, Decoding(1, 12, 0, ""))


def _check_supported(model: Any, processor: Any, source: Path) -> None:
    """Refuse what would be computed another way than torch does."""
    text, vision, image = model.config.text_config, model.config.vision_config, processor.image_processor
    size = {"height": vision.image_size, "width": vision.image_size}
    expected = {
        "text hidden_act": (text.hidden_act, "gelu"),
        "vision hidden_act": (vision.hidden_act, "gelu"),
        "image resample": (int(image.resample), _BICUBIC),
        "image size": ({name: image.size[name] for name in size}, size),
        "image do_resize": (image.do_resize, True),
        "image do_rescale": (image.do_rescale, True),
        "image do_normalize": (image.do_normalize, True),
        "image processor": (getattr(image, "backend", "torchvision"), "torchvision"),
    }
    odd = [f"its {name} is {value!r}" for name, (value, plain) in expected.items() if value != plain]
    if odd := odd + odd_generation(model.text_decoder.generation_config):
        remedy = "leave it to torch: `--backend torch`"
        raise FileRefused(f"the model in {source} cannot be compiled: {', '.join(odd)}", remedy)


def odd_generation(generation: Any) -> list[str]:
    """The settings of transformers' ``GenerationConfig`` that would change captions, in words."""
    given = {name: getattr(generation, name, None) for name in _PLAIN_GENERATION}
    return [f"its {name} is {value!r}" for name, value in given.items() if value not in _PLAIN_GENERATION[name]]
