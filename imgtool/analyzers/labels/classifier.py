"""Labels from any ONNX image classifier that the user names with ``--labels-model``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Probe
from imgtool.analyzers.labels.hashes import file_sha256
from imgtool.analyzers.labels.names import check_count, read_labels
from imgtool.analyzers.labels.settings import Given, Preprocessing, convert, resolve
from imgtool.analyzers.labels.sources import from_metadata, from_sidecar
from imgtool.errors import ImgtoolError, LabelsMismatch, ModelLoadFailed, ModelNotUsable, PathMissing, UsageProblem
from imgtool.inference.picture import Picture
from imgtool.types import Backend, Label, Problem, Task

if TYPE_CHECKING:
    from imgtool.analyzers.labels.network import Network
    from imgtool.options import EngineOptions

REMEDY = "--labels-model model.onnx --labels-file labels.txt"

FLAG, MODEL, FOLDER = "flag", "model", "folder"
"""Why a labels file is used: it was named, has the model's name, or is the ``labels.txt`` of its folder."""


class Classifier(Analyzer):
    """An ONNX image classifier; class names and preprocessing come from files beside it or from flags."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="classifier",
        task=Task.LABELS.value,
        version="1",
        backend=Backend.ONNX,
        summary="labels from any ONNX image classifier, given with --labels-model",
        licence="Apache-2.0 (the model's own licence is that of who made it)",
        batched=True,
    )

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._network: Network | None = None
        self._settings: Preprocessing
        self._labels: tuple[str, ...] = ()
        self._labels_source = ""

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Available if ``labels_model`` is set and can be read. Reads the file for its hash, unless that is known."""
        if options.labels_model is None:
            return Probe(available=False, reason="no classifier is given", remedy=REMEDY)
        path = options.labels_model.expanduser().absolute()
        if not path.is_file():
            what = "is not a file" if path.exists() else "does not exist"
            return Probe(available=False, model=path.name, reason=f"the classifier {path} {what}", remedy=REMEDY)
        try:
            digest = file_sha256(path, options)
        except OSError as error:
            reason = f"the classifier {path} cannot be read: {error.strerror}"
            return Probe(available=False, model=path.name, reason=reason, remedy="check its permissions")
        size = sum(part.stat().st_size for part in (path, *_external_data(path)))
        return Probe(available=True, model=path.name, model_version=f"sha256:{digest[:12]}", size_bytes=size)

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """Hashes of the files, the flags as given, and under ``paths`` the files.

        ``paths`` is not part of the fingerprint: a model that was moved gives the same answers.

        Raises:
            UsageProblem: a flag is malformed or names a file that does not exist.
            ConfigProblem: the JSON file beside the model or given with ``--labels-config`` cannot be used.
        """
        if options.labels_model is None:
            raise UsageProblem("no classifier is given", REMEDY)
        model = _existing(options.labels_model, "--labels-model")
        own, shared = model.with_suffix(".txt"), model.with_name("labels.txt")
        labels: Path | None
        if options.labels_file is not None:
            labels, labels_from = _existing(options.labels_file, "--labels-file"), FLAG
        elif own.is_file():
            labels, labels_from = own, MODEL
        else:
            labels, labels_from = (shared if shared.is_file() else None), FOLDER
        if options.labels_config is not None:
            sidecar: Path | None = _existing(options.labels_config, "--labels-config")
        else:
            beside = (model.with_name(f"{model.name}.json"), model.with_suffix(".json"))
            sidecar = next((path for path in beside if path.is_file()), None)
        if sidecar is not None:
            from_sidecar(sidecar)
        flags = convert(options.classifier, "--classifier")
        return {
            "paths": {"model": str(model), "labels": labels and str(labels), "sidecar": sidecar and str(sidecar)},
            "model_sha256": _hashed(model, options),
            "weights_sha256": [_hashed(path, options) for path in _external_data(model)],
            "labels_sha256": _hashed(labels, options),
            "labels_from": labels_from,
            "sidecar_sha256": _hashed(sidecar, options),
            "preprocessing": {key: list(value) if isinstance(value, tuple) else value for key, value in flags.items()},
            "top_k": options.top_k,
            "threshold": options.threshold,
        }

    def import_libraries(self) -> None:
        """Import onnxruntime."""
        import imgtool.analyzers.labels.network  # noqa: F401

    def load(self) -> None:
        """Open the model and choose names and preprocessing.

        Raises:
            ModelNotUsable: the file is no ONNX image classifier, or the settings contradict it.
            LabelsMismatch: the number of names is not the number of classes.
            ModelLoadFailed: there are no names, or the file with them cannot be used.
            ConfigProblem: the JSON file cannot be used.
        """
        paths = self.parameters_given["paths"]
        sidecar = from_sidecar(Path(paths["sidecar"])) if paths["sidecar"] else {}

        from imgtool.analyzers.labels.network import Network

        network = Network(Path(paths["model"]), self.parameters_given.get("threads"))
        metadata = from_metadata(network.metadata)
        flags = convert(self.parameters_given["preprocessing"], "the flags")
        if network.dtype == "uint8" and {"mean", "std"} & set(flags):
            raise ModelNotUsable(
                "the model takes uint8 pixels as they are: no mean or std can be applied",
                "leave mean and std out of --classifier",
            )
        self._labels, self._labels_source = self._choose_labels(sidecar, metadata)
        self._settings = resolve({**metadata, **sidecar, **flags}, network.dims)
        if network.classes is not None:
            check_count(len(self._labels), network.classes, self._labels_source)
        self._network = network

    def warm_up(self) -> None:
        """Run once on a black image; a model whose outputs do not fit is refused here.

        Raises:
            ModelNotUsable, LabelsMismatch: as :meth:`load`, for what the model does not declare.
        """
        import numpy as np

        self._rows([Picture(np.zeros((*self._settings.size, 3), dtype=np.uint8), *self._settings.size[::-1], "")])

    def run(self, pictures: Sequence[Picture]) -> list[tuple[Label, ...] | Problem]:
        """The best classes of each picture, as many at once as the model takes."""
        from imgtool.analyzers.labels.scores import answer

        top_k, threshold = self.parameters_given["top_k"], self.parameters_given["threshold"]
        answers: list[tuple[Label, ...] | Problem] = []
        while len(answers) < len(pictures):
            start = len(answers)
            some = pictures[start : start + self._ready().batch]
            try:
                rows = self._rows(some)
            except ImgtoolError as error:
                code = "labels_mismatch" if isinstance(error, LabelsMismatch) else "model_not_usable"
                answers += [Problem(code, str(error), error.remedy) for _ in some]
                continue
            answers += [answer(row, self._labels, self._settings.activation, top_k, threshold) for row in rows]
        return answers

    def close(self) -> None:
        """Free the model."""
        self._network = None

    def _rows(self, pictures: Sequence[Picture]) -> Any:
        """The raw outputs, (N, classes) float64, checked against the names."""
        from imgtool.analyzers.labels.preprocess import prepare

        network = self._ready()
        rows = network.run(prepare([picture.pixels for picture in pictures], self._settings, network.dtype))
        check_count(len(self._labels), rows.shape[1], self._labels_source)
        return rows

    def _ready(self) -> Network:
        if self._network is None:
            raise RuntimeError("load() comes before run()")
        return self._network

    def _choose_labels(self, sidecar: Given, metadata: Given) -> tuple[tuple[str, ...], str]:
        """The names and their source: names for this model come before a file that only lies in its folder."""
        paths = self.parameters_given["paths"]
        order = {FLAG: ("file",), MODEL: ("sidecar", "file", "metadata"), FOLDER: ("sidecar", "metadata", "file")}
        for source in order[self.parameters_given["labels_from"]]:
            if source == "sidecar" and "labels" in sidecar:
                return sidecar["labels"], paths["sidecar"]
            if source == "metadata" and "labels" in metadata:
                return metadata["labels"], "the model's metadata"
            if source == "file" and paths["labels"]:
                return read_labels(Path(paths["labels"])), f"the labels file {paths['labels']}"
        raise ModelLoadFailed("the classifier's classes have no names", f"give one a line: {REMEDY}")


def _existing(path: Path, flag: str) -> Path:
    """``path`` made absolute.

    Raises:
        PathMissing: it is not a file.
    """
    found = path.expanduser().absolute()
    if not found.is_file():
        raise PathMissing(f"{flag}: {found} is not a file", f"check the path; for example {REMEDY}")
    return found


def _external_data(model: Path) -> list[Path]:
    """The files in which exporters usually put the weights of a large model."""
    beside = [model.with_name(model.name + suffix) for suffix in (".data", "_data")]
    return [path for path in beside if path.is_file()]


def _hashed(path: Path | None, options: EngineOptions) -> str | None:
    """The SHA-256 of a file the user named, if any.

    Raises:
        UsageProblem: it cannot be read.
    """
    try:
        return None if path is None else file_sha256(path, options)
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
