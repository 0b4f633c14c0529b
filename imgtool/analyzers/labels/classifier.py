"""Labels from any ONNX image classifier that the user names with ``--labels-model``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Probe
from imgtool.analyzers.labels.folder import FLAG, FOLDER, MODEL, REMEDY, TAGS, Files, find_files
from imgtool.analyzers.labels.graph import LOGITS, PROBABILITIES
from imgtool.analyzers.labels.known_files import KnownFile, know
from imgtool.analyzers.labels.names import check_count, read_labels
from imgtool.analyzers.labels.published import TAGGER
from imgtool.analyzers.labels.settings import (
    Dims,
    Given,
    Preprocessing,
    convert,
    describe_assumed,
    guess_layout,
    merge,
    resolve,
)
from imgtool.analyzers.labels.sources import from_folder, from_metadata, from_sidecar
from imgtool.errors import ImgtoolError, LabelsMismatch, ModelLoadFailed, ModelMissing, UsageProblem
from imgtool.inference.picture import Picture
from imgtool.options import cache_root
from imgtool.types import Backend, Label, Problem, Task

if TYPE_CHECKING:
    from imgtool.analyzers.labels.network import Network
    from imgtool.options import EngineOptions

_UNNAMED = re.compile(r"LABEL_\d+")
"""What transformers calls classes that have no names."""


class Classifier(Analyzer):
    """An ONNX image classifier; class names and preprocessing come from files beside it or from flags."""

    spec: ClassVar[AnalyzerSpec] = AnalyzerSpec(
        name="classifier",
        task=Task.LABELS.value,
        version="2",
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
        self._activation = ""
        self._within_range: bool | None = None

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        """Available if ``labels_model`` is set and can be read. Reads a file once, for its hash."""
        if options.labels_model is None:
            return Probe(available=False, reason="no classifier is given", remedy=REMEDY)
        name = options.labels_model.name
        try:
            files = find_files(options, options.labels_model)
            model, weights = _know_model(files.model, options)
            notice = _notice(files, model, options)
        except ImgtoolError as error:
            return Probe(available=False, model=name, reason=str(error), remedy=error.remedy)
        return Probe(
            available=True,
            model=files.model.name,
            model_version=f"sha256:{_version(model, weights)[:12]}",
            size_bytes=sum(file.stat[2] for file in (model, *weights.values())),
            notice=notice,
        )

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        """Hashes of the files, the flags as given, and under ``paths`` the files.

        ``paths`` is not part of the fingerprint: a model that was moved gives the same answers.

        Raises:
            UsageProblem: a flag is malformed or names a file that does not exist.
            ModelNotUsable: a folder was named that has no ONNX file, or several.
            ModelMissing: a file with weights of the model is not there.
            ConfigProblem: a JSON file beside the model or given with ``--labels-config`` cannot be used.
        """
        if options.labels_model is None:
            raise UsageProblem("no classifier is given", REMEDY)
        files = find_files(options, options.labels_model)
        model, weights = _know_model(files.model, options)
        if files.sidecar is not None:
            from_sidecar(files.sidecar)
        from_folder(list(files.published))
        flags = convert(options.classifier, "--classifier")
        return {
            "paths": files.as_json(),
            "model_sha256": model.sha256,
            "weights_sha256": {location: file.sha256 for location, file in weights.items()},
            "endings": model.graph.endings,
            "labels_sha256": files.labels and _know(files.labels, options).sha256,
            "labels_from": files.labels_from,
            "labels_name": files.labels and files.labels.name,
            "sidecar_sha256": files.sidecar and _know(files.sidecar, options).sha256,
            "published_sha256": [_know(path, options).sha256 for path in files.published],
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
        from imgtool.analyzers.labels.network import Network

        given = self.parameters_given
        paths = given["paths"]
        network = Network(Path(paths["model"]), given.get("threads"))
        flags = convert(given["preprocessing"], "the flags")
        sources = _sources(paths, given["labels_from"], network.metadata, network.dims)
        self._labels, self._labels_source = self._choose_labels(sources)
        self._settings = resolve(merge(*sources.values(), flags), network.dims, network.dtype)
        shape = (*self._settings.size, 1 if self._settings.channels == "L" else 3)
        network.choose_output(
            len(self._labels), self._labels_source, shape if self._settings.layout == "NHWC" else (shape[2], *shape[:2])
        )
        self._activation = self._settings.activation
        if self._activation == "auto":
            ending = given["endings"].get(network.output)
            on_logits = "sigmoid" if self._settings.multi_label or len(self._labels) == 1 else "softmax"
            self._activation = {PROBABILITIES: "none", LOGITS: on_logits}.get(ending, f"none or {on_logits}")
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
            answers += [answer(row, self._labels, self._activate_by(row), top_k, threshold) for row in rows]
        return answers

    def close(self) -> None:
        """Free the model."""
        self._network = None

    def _rows(self, pictures: Sequence[Picture]) -> Any:
        """The raw outputs, (N, classes) float64, checked against the names."""
        from imgtool.analyzers.labels.preprocess import prepare

        network = self._ready()
        rows = network.run(prepare([picture.pixels for picture in pictures], self._settings, network.dtype))
        check_count(len(self._labels), [rows.shape[1]], self._labels_source)
        return rows

    def _activate_by(self, row: Any) -> str:
        """What makes probabilities of these outputs. Where neither settings nor graph tell, outputs within [0, 1] are
        probabilities if those of made-up pictures are, too: logits may lie there by chance, for one image."""
        from imgtool.analyzers.labels.scores import within_range

        if not self._activation.startswith("none or "):
            return self._activation
        if not within_range(row):
            return self._activation.removeprefix("none or ")
        if self._within_range is None:
            self._within_range = all(within_range(tried) for tried in self._rows_of_made_up_pictures())
        return "none" if self._within_range else self._activation.removeprefix("none or ")

    def _rows_of_made_up_pictures(self) -> Iterator[Any]:
        import numpy as np

        (height, width), random = self._settings.size, np.random.default_rng(0)
        colours = np.array([[0] * 3, [128] * 3, [255] * 3, *(255 * np.eye(3))], dtype=np.uint8)
        plain = [np.broadcast_to(colour, (height, width, 3)) for colour in colours]
        for pixels in (*plain, random.integers(0, 256, (height, width, 3), dtype=np.uint8)):
            yield from self._rows([Picture(pixels, width, height, "")])

    def _ready(self) -> Network:
        if self._network is None:
            raise RuntimeError("load() comes before run()")
        return self._network

    def _choose_labels(self, sources: dict[str, Given]) -> tuple[tuple[str, ...], str]:
        """The names and their source: names for this model come before a file that only lies in its folder."""
        paths = self.parameters_given["paths"]
        order = {
            FLAG: ("file",),
            MODEL: ("sidecar", "file", "metadata"),
            FOLDER: ("sidecar", "metadata", "published", "file"),
        }
        for source in order[self.parameters_given["labels_from"]]:
            names = sources.get(source, {}).get("labels")
            if source == "file" and paths["labels"]:
                return read_labels(Path(paths["labels"])), f"the labels file {paths['labels']}"
            if names is not None and not (paths["labels"] and all(map(_UNNAMED.fullmatch, names))):
                where = {"sidecar": paths["sidecar"], "metadata": "the model's metadata"}
                return names, where.get(source) or ", ".join(paths["published"])
        raise ModelLoadFailed("the classifier's classes have no names", f"give one a line: {REMEDY}")


def _sources(paths: Mapping[str, Any], labels_from: str, metadata: Mapping[str, str], dims: Dims) -> dict[str, Given]:
    """What each source but the flags says, the strongest last. ``paths`` are those of :meth:`Classifier.parameters`."""
    is_tagger = paths["labels"] is not None and labels_from == FOLDER and Path(paths["labels"]).name == TAGS
    return {
        "published": from_folder([Path(path) for path in paths["published"]], dims),
        "tagger": TAGGER if is_tagger and guess_layout(dims) == "NHWC" else {},
        "metadata": from_metadata(metadata),
        "sidecar": from_sidecar(Path(paths["sidecar"]), dims) if paths["sidecar"] else {},
    }


def _notice(files: Files, model: KnownFile, options: EngineOptions) -> str:
    """What is assumed about the preprocessing, because nothing says it."""
    graph = model.graph
    if len(graph.shapes) != 1 or len(dims := graph.shapes[0]) != 4:
        return ""  # loading says what is wrong
    sources = _sources(files.as_json(), files.labels_from, graph.metadata, dims)
    given = merge(*sources.values(), convert(options.classifier, "--classifier"))
    try:
        assumed = describe_assumed(given, resolve(given, dims, graph.dtype), dims, graph.dtype)
    except ImgtoolError:
        return ""
    return f"nothing says how {files.model.name} sees images; assumed: {assumed} (see --classifier)" if assumed else ""


def _version(model: KnownFile, weights: Mapping[str, KnownFile]) -> str:
    """One hash of the graph and of all weights outside it."""
    parts = [model.sha256, *(f"{location}:{file.sha256}" for location, file in weights.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() if weights else model.sha256


def _know_model(path: Path, options: EngineOptions) -> tuple[KnownFile, dict[str, KnownFile]]:
    """What is known about a model and, by location, about each file outside it that has weights of it.

    Raises:
        ModelMissing: such a file is not there.
        UsageProblem: a file cannot be read.
    """
    model = _know(path, options, model=True)
    weights = {}
    for location in model.graph.external:
        if not (path.parent / location).is_file():
            raise ModelMissing(
                f"{path} keeps weights in {location!r}, which is not there", "put that file beside the model"
            )
        weights[location] = _know(path.parent / location, options)
    return model, weights


def _know(path: Path, options: EngineOptions, *, model: bool = False) -> KnownFile:
    """What is known about a file that the user named.

    Raises:
        UsageProblem: it cannot be read.
    """
    try:
        return know(path, cache_root(options), model=model, trust=not options.rehash)
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
