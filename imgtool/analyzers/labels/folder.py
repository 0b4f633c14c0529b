"""Which files make up a classifier: the model, and beside it names, settings and the files it was published with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgtool.analyzers.labels import REMEDY
from imgtool.analyzers.labels.sources import is_sidecar
from imgtool.errors import ModelNotUsable, PathMissing
from imgtool.options import EngineOptions

FLAG, MODEL, FOLDER = "flag", "model", "folder"
"""Why a labels file is used: it was named, has the model's name, or has one of ``LABEL_FILES`` as its name."""

TAGS = "selected_tags.csv"
LABEL_FILES = (
    *("labels.txt", TAGS, "id2label.json", "class_index.json", "imagenet_class_index.json", "index_to_name.json"),
    *("class_indices.json", "labels.json", "classes.txt", "labels.csv"),
)
PUBLISHED = ("config.json", "processor_config.json", "preprocessor_config.json")
"""Files of transformers and timm, the strongest last."""

_TORCH_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "pytorch_model.safetensors")


@dataclass(frozen=True)
class Files:
    """The files of a classifier. ``sidecar`` has settings for this model, ``published`` those of its folder."""

    model: Path
    labels: Path | None
    labels_from: str
    sidecar: Path | None
    published: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        """The paths, as they are sent to a worker."""
        return {
            "model": str(self.model),
            "labels": None if self.labels is None else str(self.labels),
            "sidecar": None if self.sidecar is None else str(self.sidecar),
            "published": [str(path) for path in self.published],
        }


def find_files(options: EngineOptions, model: Path) -> Files:
    """The files of the classifier ``model`` (an ONNX file, or the folder of one) under these options.

    Raises:
        PathMissing: a file that was named does not exist.
        ModelNotUsable: the folder has no ONNX file, or several.
    """
    named = model.expanduser().absolute()
    model = _model_in(named) if named.is_dir() else _existing(named, "--labels-model")
    # Exporters put the graphs into a folder `onnx` below the files that describe the model.
    homes = [model.parent, *([model.parent.parent] if model.parent.name == "onnx" else [])]
    own = model.with_suffix(".txt")
    labels: Path | None
    if options.labels_file is not None:
        labels, labels_from = _existing(options.labels_file, "--labels-file"), FLAG
    elif own.is_file():
        labels, labels_from = own, MODEL
    else:
        labels, labels_from = _first(homes, LABEL_FILES), FOLDER
    if options.labels_config is not None:
        sidecar: Path | None = _existing(options.labels_config, "--labels-config")
    else:
        beside = _first([model.parent], (f"{model.name}.json", model.with_suffix(".json").name))
        sidecar = beside if beside is not None and is_sidecar(beside) else None
    published = [path for name in PUBLISHED if (path := _first(homes, (name,))) is not None and path != sidecar]
    return Files(model, labels, labels_from, sidecar, tuple(published))


def _model_in(folder: Path) -> Path:
    for place in (folder, folder / "onnx"):
        found = sorted(path for path in place.glob("*.onnx") if path.is_file())
        if (usual := place / "model.onnx") in found or len(found) == 1:
            return usual if usual in found else found[0]
        if found:
            names = ", ".join(path.name for path in found)
            raise ModelNotUsable(f"{place} has several ONNX files: {names}", f"name one: --labels-model {found[0]}")
    if any((folder / name).is_file() for name in _TORCH_WEIGHTS):
        raise ModelNotUsable(
            f"{folder} has weights for PyTorch, but no ONNX file",
            f"export it: optimum-cli export onnx --task image-classification --model {folder} {folder}/onnx",
        )
    raise ModelNotUsable(f"{folder} has no ONNX file", f"name the file; for example {REMEDY}")


def _first(folders: list[Path], names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names for folder in folders if (folder / name).is_file()), None)


def _existing(path: Path, flag: str) -> Path:
    """``path`` made absolute.

    Raises:
        PathMissing: it is not a file.
    """
    found = path.expanduser().absolute()
    if not found.is_file():
        raise PathMissing(f"{flag}: {found} is not a file", f"check the path; for example {REMEDY}")
    return found
