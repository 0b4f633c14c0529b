"""BLIP compiled: its two graphs, its tokenizer and its settings, made from the files that transformers loads.

Two graphs, ``vision`` and ``decoder`` (:mod:`imgtool.compiling.blip.graphs` says what goes in and comes out).
Compiling processes only: they import torch and transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from imgtool.artefacts.exported import Export, Parity
from imgtool.compiling.blip.graphs import DECODER, VISION, Sizes, write_decoder, write_vision
from imgtool.compiling.onnx_writer import OPSET
from imgtool.inference.torch import extra_remedy
from imgtool.weights.errors import FileRefused, LibraryMissing

_BICUBIC = 3
_TORCH = "leave it to torch: `--backend torch`"

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


def export(source: Path, into: Path) -> Export:
    """Write the graphs and the tokenizer of the BLIP in the folder ``source`` into ``into``.

    Raises:
        LibraryMissing: a library that compiling needs is not installed.
        FileRefused: the model differs from BLIP as published in a way that the compiled one could not follow.
        ImgtoolError: the weights are missing or damaged.
        OSError: the folder cannot be written.
    """
    onnx = _import_onnx()
    network = _load(source)
    model, processor = network.model, network.processor
    _check_supported(model, processor, source)
    into.mkdir(parents=True, exist_ok=True)
    sizes = _sizes(model)
    write_vision(model, sizes, into)
    write_decoder(model, sizes, into)
    processor.tokenizer.backend_tokenizer.save(str(into / "tokenizer.json"), pretty=False)
    exporter = f"imgtool, onnx {onnx.__version__}"
    return Export((VISION, DECODER), _settings(model, processor, sizes), exporter, OPSET)


def check_parity(source: Path, artefact: Path, *, seed: int = 0, images: int = 4, threads: int | None = None) -> Parity:
    """Hold the compiled model in ``artefact``, run as the analyzer runs it, to the one in ``source`` on torch.

    Vision features may differ by 1e-3; captions of ``images`` made-up pictures must be the same, greedy and with three
    beams, but where torch itself ranks two of them alike. ``threads`` for each of the two, all there are by default.

    Raises:
        ImgtoolError: one of the two cannot be loaded.
    """
    from imgtool.compiling.blip.parity import compare
    from imgtool.inference.blip.graphs import BlipGraphs

    return compare(_load(source, threads), BlipGraphs(artefact, threads), seed, images)


def _load(source: Path, threads: int | None = None) -> Any:
    from imgtool.inference.blip.upstream import BlipNetwork

    return BlipNetwork(source, "cpu", threads)


def _import_onnx() -> Any:
    try:
        return import_module("onnx")
    except ImportError as error:
        raise LibraryMissing(f"onnx cannot be imported: {error}", extra_remedy()) from error


def _sizes(model: Any) -> Sizes:
    text, vision = model.config.text_config, model.config.vision_config
    heads = text.num_attention_heads
    return Sizes(text.num_hidden_layers, heads, text.hidden_size // heads, text.vocab_size, vision.image_size)


def _settings(model: Any, processor: Any, sizes: Sizes) -> dict[str, Any]:
    text, image = model.config.text_config, processor.image_processor
    return {
        "image": {
            "height": sizes.image,
            "width": sizes.image,
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


def _check_supported(model: Any, processor: Any, source: Path) -> None:
    """Refuse what would be computed another way than torch does."""
    if odd := [*_odd_settings(model, processor), *_odd_generation(model.text_decoder.generation_config)]:
        raise FileRefused(f"the model in {source} cannot be compiled: {', '.join(odd)}", _TORCH)


def _odd_settings(model: Any, processor: Any) -> list[str]:
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
    return [f"its {name} is {value!r}" for name, (value, wanted) in expected.items() if value != wanted]


def _odd_generation(generation: Any) -> list[str]:
    given = {name: getattr(generation, name, None) for name in _PLAIN_GENERATION}
    return [f"its {name} is {value!r}" for name, value in given.items() if value not in _PLAIN_GENERATION[name]]
