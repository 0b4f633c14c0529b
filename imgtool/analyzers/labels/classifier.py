"""Labels from any ONNX image classifier that the user names with ``--labels-model``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from imgtool.analyzers.interface import Analyzer, AnalyzerSpec, Probe
from imgtool.analyzers.labels import REMEDY
from imgtool.errors import ImgtoolError, LabelsMismatch, UsageProblem
from imgtool.inference.picture import Picture
from imgtool.types import Backend, Label, Problem, Task

if TYPE_CHECKING:
    from imgtool.analyzers.labels.network import Network
    from imgtool.analyzers.labels.settings import Preprocessing
    from imgtool.options import EngineOptions


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
        from imgtool.analyzers.labels.definition import probe

        return probe(options, options.labels_model)

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
        from imgtool.analyzers.labels.definition import parameters

        return parameters(options, options.labels_model)

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
        from imgtool.analyzers.labels.definition import choose_labels, read_sources
        from imgtool.analyzers.labels.graph import LOGITS, PROBABILITIES
        from imgtool.analyzers.labels.network import Network, answer_alike
        from imgtool.analyzers.labels.settings import convert, merge, resolve
        from imgtool.inference.cleaned_graphs import cleaned_copy

        given = self.parameters_given
        paths = given["paths"]
        model, store = Path(paths["model"]), paths.get("cleaned")
        weights = {model.parent / location: sha256 for location, sha256 in given["weights_sha256"].items()}
        hashes = {model: given["model_sha256"], **weights}
        opened = cleaned_copy(model, None if store is None else Path(store), hashes, answer_alike)
        network = Network(opened, given.get("threads"))
        flags = convert(given["preprocessing"], "the flags")
        sources = read_sources(paths, given["labels_from"], network.metadata, network.dims)
        self._labels, self._labels_source = choose_labels(paths, given["labels_from"], sources)
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
        from imgtool.analyzers.labels.names import check_count
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
