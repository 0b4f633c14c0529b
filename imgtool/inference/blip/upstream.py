"""BLIP as transformers runs it: ``BlipProcessor`` and ``BlipForConditionalGeneration``. Imported by the worker only."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.errors import ImgtoolError, ModelLoadFailed
from imgtool.inference.blip.parameters import Decoding
from imgtool.inference.torch import BUILDING, choose_device, extra_remedy, import_torch, memory_errors
from imgtool.weights.on_disk.blip import weight_files
from imgtool.weights.safetensors import check_safetensors
from imgtool.weights.upstream_warnings import quiet, transformers_silenced

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class BlipNetwork:
    """A loaded model. It must not be used from several threads at once.

    ``device`` is what it runs on, as torch names it; ``model`` is ``BlipForConditionalGeneration`` in evaluation mode,
    ``processor`` is ``BlipProcessor``.
    """

    def __init__(self, folder: Path, device: str, threads: int | None, remedy: str) -> None:
        """Load the model in ``folder`` in single precision; ``remedy`` is what to do if its files cannot be used.

        Raises:
            ModelLoadFailed: torch or transformers is missing, the device is not here, a file is damaged, or the
                weights do not fill the network.
        """
        self._torch = import_torch(threads)
        self.device = choose_device(self._torch, device)
        try:
            from transformers import BlipForConditionalGeneration, BlipProcessor
        except (ImportError, OSError, RuntimeError) as error:
            raise ModelLoadFailed(f"transformers cannot be imported: {error}", extra_remedy()) from error
        files = weight_files(folder, remedy)
        for path in files:
            check_safetensors(path, remedy)
        try:
            with BUILDING, transformers_silenced():
                self.processor: Any = BlipProcessor.from_pretrained(folder, local_files_only=True)
                model = _build(BlipForConditionalGeneration, folder, files, self._torch, remedy)
                self.model: Any = model.to(self.device).eval()
        except (ImgtoolError, MemoryError):
            raise
        except Exception as error:
            first = str(error).strip().partition("\n")[0]
            text = f"BLIP in {folder} cannot be loaded: {type(error).__name__}: {first}"
            raise ModelLoadFailed(text, remedy) from error

    def caption(self, pictures: Sequence[NDArray[np.uint8]], decoding: Decoding) -> list[str]:
        """One caption a picture ((H, W, 3) uint8 RGB), all in one batch.

        Raises:
            MemoryError: the batch does not fit into memory.
        """
        from PIL import Image

        quiet()
        images = [Image.fromarray(pixels) for pixels in pictures]
        prompts = {"text": [decoding.prompt] * len(images)} if decoding.prompt else {}
        limits = {"num_beams": decoding.beams, "max_new_tokens": decoding.max_new_tokens, "do_sample": False}
        if decoding.min_new_tokens:
            limits["min_new_tokens"] = decoding.min_new_tokens
        with self._torch.inference_mode(), memory_errors():
            inputs = self.processor(images=images, **prompts, return_tensors="pt").to(self.device)
            tokens = self.model.generate(**inputs, **limits)
        return [text.strip() for text in self.processor.batch_decode(tokens, skip_special_tokens=True)]


def _build(blip: Any, folder: Path, files: Sequence[Path], torch: Any, remedy: str) -> Any:
    """The model with its weights, which are memory-mapped if the file system supports it."""
    common = {"local_files_only": True, "dtype": torch.float32, "output_loading_info": True}
    if all(can_map(path) for path in files):
        model, info = blip.from_pretrained(folder, use_safetensors=True, **common)
    else:
        from safetensors.torch import load

        config = blip.config_class.from_pretrained(folder, local_files_only=True)
        state = {name: tensor for path in files for name, tensor in load(path.read_bytes()).items()}
        model, info = blip.from_pretrained(None, config=config, state_dict=state, **common)
    if unfilled := sorted(info["missing_keys"]) + sorted(map(str, info["mismatched_keys"])):
        # transformers would only warn and fill these with random values.
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
