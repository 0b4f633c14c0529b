"""BLIP as transformers runs it: ``BlipProcessor`` and ``BlipForConditionalGeneration``. Imported by the worker only."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.errors import ImgtoolError, ModelLoadFailed
from imgtool.inference.blip.parameters import Decoding
from imgtool.inference.torch import BUILDING, choose_device, extra_remedy, import_torch, memory_errors
from imgtool.weights.located.blip import WARM, weight_files
from imgtool.weights.safetensors import check_safetensors
from imgtool.weights.silence import quiet, transformers_silenced

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class BlipNetwork:
    """A loaded model. ``caption`` is all it does; it is not meant for several threads at once."""

    def __init__(self, folder: Path, device: str, threads: int | None, remedy: str = WARM) -> None:
        """Load the model in ``folder`` in single precision; ``remedy`` is what to do where its files are of no use.

        Raises:
            ModelLoadFailed: torch or transformers is missing, the device is not here, a file is damaged, or the
                weights do not fill the network.
        """
        self._torch = import_torch(threads)
        self._device = choose_device(self._torch, device)
        blip, processor = _import_blip()
        files = weight_files(folder, remedy)
        for path in files:
            check_safetensors(path)
        with BUILDING, transformers_silenced(), _as_load_failure(folder, remedy):
            self._processor = processor.from_pretrained(folder, local_files_only=True)
            self._model = _build(blip, folder, files, self._torch, remedy).to(self._device).eval()

    @property
    def device(self) -> str:
        """The device it runs on, as torch names it."""
        return self._device

    @property
    def model(self) -> Any:
        """``BlipForConditionalGeneration`` in evaluation mode."""
        return self._model

    @property
    def processor(self) -> Any:
        """``BlipProcessor``."""
        return self._processor

    def caption(self, pictures: Sequence[NDArray[np.uint8]], decoding: Decoding) -> list[str]:
        """One caption a picture ((H, W, 3) uint8 RGB), all in one batch.

        Raises:
            MemoryError: the batch does not fit into memory.
        """
        from PIL import Image

        quiet()
        images = [Image.fromarray(pixels) for pixels in pictures]
        prompts = {"text": [decoding.prompt] * len(images)} if decoding.prompt else {}
        with self._torch.inference_mode(), memory_errors():
            inputs = self._processor(images=images, **prompts, return_tensors="pt").to(self._device)
            tokens = self._model.generate(**inputs, **_limits(decoding))
        return [text.strip() for text in self._processor.batch_decode(tokens, skip_special_tokens=True)]


def _limits(decoding: Decoding) -> dict[str, Any]:
    limits: dict[str, Any] = {
        "num_beams": decoding.beams,
        "max_new_tokens": decoding.max_new_tokens,
        "do_sample": False,
    }
    return {**limits, "min_new_tokens": decoding.min_new_tokens} if decoding.min_new_tokens else limits


def _import_blip() -> tuple[Any, Any]:
    try:
        from transformers import BlipForConditionalGeneration, BlipProcessor
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelLoadFailed(f"transformers cannot be imported: {error}", extra_remedy()) from error
    return BlipForConditionalGeneration, BlipProcessor


def _build(blip: Any, folder: Path, files: Sequence[Path], torch: Any, remedy: str) -> Any:
    """The model with its weights, memory-mapped where the file system can."""
    common = {"local_files_only": True, "dtype": torch.float32, "output_loading_info": True}
    if all(can_map(path) for path in files):
        model, info = blip.from_pretrained(folder, use_safetensors=True, **common)
    else:
        config = blip.config_class.from_pretrained(folder, local_files_only=True)
        model, info = blip.from_pretrained(None, config=config, state_dict=_read(files), **common)
    if unfilled := sorted(info["missing_keys"]) + sorted(map(str, info["mismatched_keys"])):
        # transformers would fill these with random values, and only warn.
        raise ModelLoadFailed(
            f"the weights in {folder} are not those of this network: {len(unfilled)} tensors are missing or have "
            f"another shape, for example {unfilled[0]}",
            remedy,
        )
    return model


def can_map(path: Path) -> bool:
    """Whether ``path`` can be memory-mapped: some network and FUSE file systems refuse."""
    with path.open("rb") as file:
        try:
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ).close()
        except (OSError, ValueError):
            return False
    return True


def _read(files: Sequence[Path]) -> dict[str, Any]:
    from safetensors.torch import load

    return {name: tensor for path in files for name, tensor in load(path.read_bytes()).items()}


@contextmanager
def _as_load_failure(folder: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except (ImgtoolError, MemoryError):
        raise
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelLoadFailed(f"BLIP in {folder} cannot be loaded: {type(error).__name__}: {first}", remedy) from error
