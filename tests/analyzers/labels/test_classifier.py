"""The classifier on tiny ONNX models whose answers can be worked out by hand.

Most of them average each channel over the image and multiply by a matrix: three classes that score high on red, green
and blue images.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper
from PIL import Image

from imgtool.analyzers.labels.classifier import Classifier
from imgtool.analyzers.labels.names import parse_labels
from imgtool.analyzers.labels.preprocess import crop_box, prepare, scaled_to_cover
from imgtool.analyzers.labels.scores import SUM_TOLERANCE, activate, best
from imgtool.analyzers.labels.settings import Preprocessing, resolve
from imgtool.analyzers.labels.sources import from_metadata, from_sidecar
from imgtool.errors import (
    ConfigProblem,
    ImgtoolError,
    LabelsMismatch,
    ModelLoadFailed,
    ModelNotUsable,
    PathMissing,
    UnknownKey,
    UsageProblem,
)
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions
from imgtool.parameters import parse_side_lengths
from imgtool.types import Label, Problem
from tests.command import obey_permissions

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
PLAIN = {"mean": 0, "std": 1, "activation": "none"}
"""Sidecar under which a score is the mean of its channel in [0, 1]."""


def write_model(
    path: Path,
    *,
    shape: Sequence[Any] = ("N", 3, 8, 8),
    layout: str = "NCHW",
    dtype: int = TensorProto.FLOAT,
    gain: float = 1.0,
    weights: np.ndarray | None = None,
    tail: str = "",
    declared: Sequence[Any] | None = ("N", 3),
    metadata: dict[str, str] | None = None,
) -> Path:
    """Mean of each channel, times a matrix (``gain`` times the unit matrix), then perhaps Softmax or a reshape."""
    channels = 1 if 1 in (shape[1], shape[3]) and 3 not in (shape[1], shape[3]) else 3
    matrix = np.eye(channels) * gain if weights is None else weights
    floats = TensorProto.FLOAT16 if dtype == TensorProto.FLOAT16 else TensorProto.FLOAT
    constant = helper.make_tensor("matrix", floats, matrix.shape, matrix.astype(float).ravel().tolist())
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=floats),
        helper.make_node("ReduceMean", ["float"], ["means"], axes=[2, 3] if layout == "NCHW" else [1, 2], keepdims=0),
        helper.make_node("MatMul", ["means", "matrix"], ["plain" if tail else "scores"]),
    ]
    constants = [constant]
    if tail == "softmax":
        nodes.append(helper.make_node("Softmax", ["plain"], ["scores"], axis=1))
    elif tail:
        target = [int(side) for side in tail.split("x")]
        constants.append(helper.make_tensor("target", TensorProto.INT64, [len(target)], target))
        nodes.append(helper.make_node("Reshape", ["plain", "target"], ["scores"]))
    return save(
        path,
        nodes,
        [helper.make_tensor_value_info("image", dtype, shape)],
        [helper.make_tensor_value_info("scores", floats, declared)],
        constants,
        metadata,
    )


def hide_output_shape(path: Path) -> Path:
    """Make the target of the last reshape one that a caller could set, so that no shape can be inferred behind it."""
    model = onnx.load(str(path))
    model.graph.input.append(helper.make_tensor_value_info("target", TensorProto.INT64, ["rank"]))
    onnx.save(model, str(path))
    return path


def save(path: Path, nodes: Any, inputs: Any, outputs: Any, constants: Any = (), metadata: Any = None) -> Path:
    graph = helper.make_graph(nodes, "classifier", inputs, outputs, list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, str(path))
    return path


def picture(colour: str | tuple[int, int, int] = "red", width: int = 12, height: int = 12) -> Picture:
    return of_pixels(np.full((height, width, 3), COLOURS.get(colour, colour), dtype=np.uint8))  # type: ignore[call-overload]


def of_pixels(pixels: np.ndarray) -> Picture:
    return Picture(pixels, pixels.shape[1], pixels.shape[0], "PNG")


def classifier(
    model: Path, sidecar: dict[str, Any] | None = None, *, labels: bool = True, **options: Any
) -> Classifier:
    """A loaded classifier; names and sidecar are written beside the model."""
    if sidecar is not None:
        model.with_name(model.name + ".json").write_text(json.dumps(sidecar))
    if labels:
        model.with_suffix(".txt").write_text("red\ngreen\nblue\n")
    parameters = Classifier.parameters(EngineOptions(labels_model=model, **options))
    # What reaches a worker has been JSON on the way.
    made = Classifier({**json.loads(json.dumps(parameters)), "threads": 1})
    made.load()
    return made


def scores(answer: Any) -> dict[str, float]:
    assert not isinstance(answer, Problem), answer
    return {label.label: label.score for label in answer}


def run_one(made: Classifier, image: Picture) -> dict[str, float]:
    (answer,) = made.run([image])
    return scores(answer)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "colours.onnx")


# --------------------------------------------------------------------------------------------------------------------
# Probe and parameters


def test_probe_without_a_model_says_how_to_give_one() -> None:
    probe = Classifier.probe(EngineOptions())
    assert not probe.available
    assert "--labels-model" in probe.remedy
    assert "--labels-file" in probe.remedy


@pytest.mark.parametrize("name", ["missing.onnx", "."])
def test_probe_of_what_is_no_file(tmp_path: Path, name: str) -> None:
    probe = Classifier.probe(EngineOptions(labels_model=tmp_path / name))
    assert not probe.available
    assert str(tmp_path) in probe.reason
    assert probe.remedy


def test_probe_of_an_unreadable_file(model: Path) -> None:
    model.chmod(0)
    # In a process of its own, which gives up what lets root read everything.
    code = (
        "import sys; from pathlib import Path; from imgtool.options import EngineOptions\n"
        "from imgtool.analyzers.labels.classifier import Classifier\n"
        "print(Classifier.probe(EngineOptions(labels_model=Path(sys.argv[1]))).reason)"
    )
    words = [sys.executable, "-c", code, str(model)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, preexec_fn=obey_permissions)
    assert "cannot be read" in done.stdout


def test_probe_follows_the_file(model: Path) -> None:
    before = Classifier.probe(EngineOptions(labels_model=model))
    assert before.available
    assert before.model == "colours.onnx"
    assert before.size_bytes == model.stat().st_size
    write_model(model, gain=2)
    after = Classifier.probe(EngineOptions(labels_model=model))
    assert before.model_version.startswith("sha256:")
    assert len(after.model_version) == len("sha256:") + 12
    assert after.model_version != before.model_version


def test_probe_and_parameters_import_nothing_heavy(model: Path) -> None:
    model.with_suffix(".txt").write_text("red\n")
    code = (
        "import sys; from pathlib import Path; from imgtool.options import EngineOptions\n"
        "from imgtool.analyzers.labels.classifier import Classifier\n"
        "options = EngineOptions(labels_model=Path(sys.argv[1]), classifier={'size': '9'})\n"
        "assert Classifier.probe(options).available; Classifier.parameters(options)\n"
        "print(sorted({'numpy', 'PIL', 'onnxruntime', 'cv2', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_parameters_of_a_moved_model_differ_in_paths_only(tmp_path: Path) -> None:
    found = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        moved = write_model(folder / "m.onnx")
        moved.with_suffix(".txt").write_text("red\ngreen\nblue\n")
        found.append(Classifier.parameters(EngineOptions(labels_model=moved, classifier={"mean": (0.5,)}, top_k=2)))
    paths = [one.pop("paths") for one in found]
    assert paths[0]["labels"] == str(tmp_path / "a" / "m.txt")
    assert paths[0] != paths[1]
    assert found[0] == found[1]
    assert found[0]["preprocessing"] == {"mean": [0.5]}


def test_parameters_change_with_everything_that_changes_an_answer(model: Path) -> None:
    seen = []

    def note(**options: Any) -> None:
        given = Classifier.parameters(EngineOptions(labels_model=model, **options))
        given.pop("paths")
        seen.append(json.dumps(given, sort_keys=True))

    note()
    note(classifier={"size": "8"})
    note(classifier={"size": "8x9"})
    note(classifier={"std": (0.5, 0.5, 0.5)})
    note(classifier={"resize": "pad"})
    note(classifier={"layout": "NHWC"})
    note(top_k=1)
    note(threshold=0.1)
    model.with_suffix(".txt").write_text("a\nb\nc")
    note()
    model.with_suffix(".txt").write_text("a\nb\nd")
    note()
    model.with_suffix(".json").write_text("{}")
    note()
    model.with_name(model.name + ".data").write_bytes(b"weights")
    note()
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", "22x"),
        ("size", "0"),
        ("mean", (0.1, 0.2)),
        ("std", (0.0,)),
        ("layout", "CHWN"),
        ("resize", "stretch"),
    ],
)
def test_a_malformed_setting_is_named(model: Path, name: str, value: Any) -> None:
    with pytest.raises(UsageProblem, match=f"--classifier: {name}") as caught:
        Classifier.parameters(EngineOptions(labels_model=model, classifier={name: value}))
    assert caught.value.remedy


@pytest.mark.parametrize("flag", ["labels_file", "labels_config", "labels_model"])
def test_a_named_file_that_is_missing(model: Path, tmp_path: Path, flag: str) -> None:
    with pytest.raises(PathMissing, match="nowhere") as caught:
        Classifier.parameters(EngineOptions(**{"labels_model": model, flag: tmp_path / "nowhere"}))
    assert caught.value.remedy


# --------------------------------------------------------------------------------------------------------------------
# Answers


@pytest.mark.parametrize("colour", COLOURS)
def test_the_colour_of_an_image(model: Path, colour: str) -> None:
    (answer,) = classifier(model).run([picture(colour)])
    assert isinstance(answer, tuple)
    assert answer[0].label == colour
    assert sum(label.score for label in answer) == pytest.approx(1)


def test_scores_are_the_softmax_of_normalised_means(model: Path) -> None:
    found = run_one(classifier(model), picture((255, 0, 51)))
    logits = (np.array([1, 0, 0.2]) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    expected = np.exp(logits) / np.exp(logits).sum()
    assert [found[name] for name in COLOURS] == pytest.approx(expected.tolist(), rel=1e-5)


@pytest.mark.parametrize("batch", ["N", 1, 4])
def test_free_and_fixed_batches_answer_alike(tmp_path: Path, batch: int | str) -> None:
    made = classifier(write_model(tmp_path / "m.onnx", shape=(batch, 3, 8, 8), declared=(batch, 3)))
    made.warm_up()
    images = [picture(name, width, 9) for width in (5, 12) for name in COLOURS]
    answers = [scores(answer) for answer in made.run(images)]
    assert [max(answer, key=answer.__getitem__) for answer in answers] == list(COLOURS) * 2
    assert answers == [pytest.approx(run_one(made, image)) for image in images]


def test_a_batch_dimension_that_is_open_in_name_only(tmp_path: Path) -> None:
    made = classifier(write_model(tmp_path / "m.onnx", tail="1x3", declared=("N", 3)))
    answers = made.run([picture(name) for name in COLOURS])
    assert [answer[0].label for answer in answers if isinstance(answer, tuple)] == list(COLOURS)


def test_more_images_than_a_run_takes(model: Path) -> None:
    names = list(COLOURS) * 25
    answers = classifier(model).run([picture(name) for name in names])
    assert [answer[0].label for answer in answers if isinstance(answer, tuple)] == names


@pytest.mark.parametrize(("shape", "flag"), [((1, 8, 8, 3), None), ((1, "h", "w", "c"), "NHWC")])
def test_channels_last(tmp_path: Path, shape: tuple[Any, ...], flag: str | None) -> None:
    model = write_model(tmp_path / "m.onnx", shape=shape, layout="NHWC", declared=(1, 3))
    made = classifier(model, PLAIN, classifier={"layout": flag} if flag else {})
    assert run_one(made, picture("blue")) == {"blue": 1, "red": 0, "green": 0}


def test_uint8_input_gets_the_pixels_as_they_are(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", dtype=TensorProto.UINT8, gain=1 / 255)
    found = run_one(classifier(model, {"activation": "none"}), picture((255, 51, 0)))
    assert found == pytest.approx({"red": 1, "green": 0.2, "blue": 0})
    with pytest.raises(ModelNotUsable, match="uint8") as caught:
        classifier(model, classifier={"mean": (0.5,)})
    assert "--classifier" in caught.value.remedy


def test_float16_input(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", dtype=TensorProto.FLOAT16)
    assert run_one(classifier(model, PLAIN), picture((255, 51, 0)))["green"] == pytest.approx(0.2, abs=1e-3)


def test_grey_input_sees_luminance(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", shape=(1, 1, 8, 8), weights=np.array([[1.0, 0.5]]), declared=(1, 2))
    model.with_suffix(".txt").write_text("light\nhalf\n")
    found = run_one(classifier(model, PLAIN, labels=False), picture("green"))
    assert found == pytest.approx({"light": 150 / 255, "half": 75 / 255})  # ITU-R 601: green weighs 0.587
    with pytest.raises(ModelNotUsable, match="grey"):
        classifier(model, labels=False, classifier={"mean": (0.1, 0.2, 0.3)})


def test_bgr_order(model: Path) -> None:
    assert run_one(classifier(model, {**PLAIN, "channels": "bgr"}), picture("red"))["blue"] == 1


def test_softmax_in_the_model_is_not_applied_twice(tmp_path: Path) -> None:
    inside = write_model(tmp_path / "inside.onnx", tail="softmax", gain=3)
    outside = write_model(tmp_path / "outside.onnx", gain=3)
    image = picture((255, 100, 30))
    twice = run_one(classifier(inside, {"activation": "softmax"}), image)
    inside.with_name("inside.onnx.json").unlink()
    once = run_one(classifier(inside), image)
    assert once == pytest.approx(run_one(classifier(outside), image), rel=1e-5)
    assert twice["red"] < once["red"]


def test_sigmoid_scores_each_class_for_itself(model: Path) -> None:
    found = run_one(classifier(model, {"mean": 0, "std": 1, "activation": "sigmoid"}), picture((255, 255, 0)))
    assert found == pytest.approx({"red": 0.731059, "green": 0.731059, "blue": 0.5}, abs=1e-5)


def test_a_lone_class_is_not_always_certain(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", weights=np.array([[2.0], [0.0], [-2.0]]), declared=("N", 1))
    model.with_suffix(".txt").write_text("warm\n")
    made = classifier(model, {"mean": 0, "std": 1}, labels=False)
    assert run_one(made, picture("red"))["warm"] == pytest.approx(0.880797, abs=1e-5)
    assert run_one(made, picture("blue"))["warm"] == pytest.approx(0.119203, abs=1e-5)


def test_logits_are_not_passed_off_as_probabilities(tmp_path: Path) -> None:
    made = classifier(write_model(tmp_path / "m.onnx", gain=7), PLAIN)
    (answer,) = made.run([picture("red")])
    assert isinstance(answer, Problem)
    assert answer.code == "not_probabilities"
    assert "softmax" in answer.remedy


def test_one_image_without_finite_scores_leaves_the_others(tmp_path: Path) -> None:
    made = classifier(write_model(tmp_path / "m.onnx", gain=1e38), {"mean": 0, "std": 1e-3})
    broken, fine = made.run([picture("red"), picture((0, 0, 0))])
    assert isinstance(broken, Problem)
    assert broken.code == "not_finite"
    assert scores(fine) == pytest.approx(dict.fromkeys(COLOURS, 1 / 3))


def test_top_k_and_threshold(model: Path) -> None:
    image = picture((255, 128, 0))
    everything = classifier(model, PLAIN)
    assert list(run_one(everything, image)) == ["red", "green", "blue"]
    assert list(run_one(classifier(model, PLAIN, top_k=1), image)) == ["red"]
    assert list(run_one(classifier(model, PLAIN, threshold=0.4), image)) == ["red", "green"]
    assert run_one(classifier(model, PLAIN, threshold=1.0), picture("green")) == {"green": 1}


@pytest.mark.parametrize("tail", ["-1x3x1x1", "-1x3"])
def test_outputs_that_a_pooling_layer_leaves_and_undeclared_ones(tmp_path: Path, tail: str) -> None:
    declared = ("N", 3, 1, 1) if tail.endswith("1x1") else ("N", "classes")
    made = classifier(write_model(tmp_path / "m.onnx", tail=tail, declared=declared))
    assert max(run_one(made, picture("green")).items(), key=lambda item: item[1])[0] == "green"


def test_run_before_load_is_a_bug(model: Path) -> None:
    with pytest.raises(RuntimeError, match="load"):
        Classifier(Classifier.parameters(EngineOptions(labels_model=model))).run([picture()])


def test_close_frees_the_model(model: Path) -> None:
    made = classifier(model)
    made.close()
    with pytest.raises(RuntimeError):
        made.run([picture()])


# --------------------------------------------------------------------------------------------------------------------
# Models that cannot be used


def assert_refused(
    model: Path, pattern: str, error: type[ImgtoolError] = ModelNotUsable, **options: Any
) -> ImgtoolError:
    with pytest.raises(error, match=pattern) as caught:
        classifier(model, **options)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"", "not an ONNX model"),
        (b"plain text, nothing else\n" * 9, "not an ONNX model"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not an ONNX model"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS pointer"),
    ],
)
def test_not_an_onnx_file(tmp_path: Path, content: bytes, pattern: str) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(content)
    assert_refused(model, pattern)


def test_a_truncated_model(model: Path) -> None:
    model.write_bytes(model.read_bytes()[:-40])
    assert_refused(model, "m.onnx|colours.onnx")


def test_a_model_newer_than_onnxruntime(model: Path) -> None:
    newer = onnx.load(str(model))
    newer.ir_version = 999
    onnx.save(newer, str(model))
    assert_refused(model, "onnxruntime .* cannot open")


def test_a_model_that_vanishes_before_it_is_loaded(model: Path) -> None:
    made = Classifier(Classifier.parameters(EngineOptions(labels_model=model)))
    model.unlink()
    with pytest.raises(ModelNotUsable, match="cannot be read"):
        made.load()


@pytest.mark.parametrize(
    ("shape", "pattern"),
    [((1, 4, 8, 8), "4 channels"), ((1, 224, 8, 8), "224 channels")],
)
def test_an_unexpected_number_of_channels(tmp_path: Path, shape: tuple[int, ...], pattern: str) -> None:
    node = helper.make_node("ReduceMean", ["image"], ["scores"], axes=[2, 3], keepdims=0)
    model = save(
        tmp_path / "m.onnx",
        [node],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, shape[:2])],
    )
    assert "--classifier layout=NHWC" in assert_refused(model, pattern).remedy


def _identity(path: Path, inputs: list[Any], outputs: list[Any]) -> Path:
    nodes = [helper.make_node("Identity", [inputs[0].name], [output.name]) for output in outputs]
    return save(path, nodes, inputs, outputs)


def _info(name: str, *shape: Any, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


@pytest.mark.parametrize(
    ("inputs", "outputs", "pattern"),
    [
        ([_info("a", 1, 3), _info("b", 1, 3)], [_info("y", 1, 3)], "2 inputs"),
        ([_info("a", 3, 8, 8)], [_info("y", 3, 8, 8)], "4 dimensions"),
        ([_info("a", 1, 3, 8, 8)], [_info("y", 1, 3, 8, 8)], "'y' .* 1x3x8x8"),
        (
            [_info("a", 1, 3, 8, 8, kind=TensorProto.INT64)],
            [_info("y", 1, 3, 8, 8, kind=TensorProto.INT64)],
            "neither floats nor uint8",
        ),
    ],
)
def test_inputs_and_outputs_of_another_kind(tmp_path: Path, inputs: Any, outputs: Any, pattern: str) -> None:
    assert_refused(_identity(tmp_path / "m.onnx", inputs, outputs), pattern)


def test_no_input_at_all(tmp_path: Path) -> None:
    value = helper.make_tensor("v", TensorProto.FLOAT, [1, 3], [0.0, 0.0, 0.0])
    node = helper.make_node("Constant", [], ["y"], value=value)
    assert_refused(save(tmp_path / "m.onnx", [node], [], [_info("y", 1, 3)]), "0 inputs")


def test_the_output_with_classes_is_found_among_others(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Identity", ["image"], ["features"]),
        helper.make_node("ReduceMean", ["image"], ["scores"], axes=[2, 3], keepdims=0),
    ]
    outputs = [_info("features", 1, 3, 8, 8), _info("scores", 1, 3)]
    model = save(tmp_path / "m.onnx", nodes, [_info("image", 1, 3, 8, 8)], outputs)
    assert run_one(classifier(model, PLAIN), picture("red"))["red"] == 1


def test_an_output_that_is_not_what_it_was_declared_as(tmp_path: Path) -> None:
    made = classifier(hide_output_shape(write_model(tmp_path / "m.onnx", tail="-1x3x1", declared=None)))
    (answer,) = made.run([picture()])
    assert isinstance(answer, Problem)
    assert answer.code == "model_not_usable"
    assert "1x3x1" in answer.message
    with pytest.raises(ModelNotUsable):
        made.warm_up()


def test_a_model_that_fails_when_it_is_run(tmp_path: Path) -> None:
    made = classifier(write_model(tmp_path / "m.onnx", tail="2x3"))
    with pytest.raises(ModelNotUsable, match="fails on input of 1x3x8x8"):
        made.warm_up()
    (answer,) = made.run([picture()])
    assert isinstance(answer, Problem)
    assert answer.code == "model_not_usable"
    assert answer.remedy


def test_grey_settings_for_a_colour_model(model: Path) -> None:
    with pytest.raises(ModelNotUsable, match="3 channels"):
        classifier(model, {"channels": "L"})


def test_size_that_contradicts_the_model(model: Path) -> None:
    error = assert_refused(model, "8x8 pixels .* 16x8", classifier={"size": "16x8"})
    assert "size" in error.remedy


# --------------------------------------------------------------------------------------------------------------------
# Labels


@pytest.mark.parametrize(("lines", "said"), [("a\nb\n", "2 names.* 3 classes"), ("a\n\nb\nc\n", "4 names.* 3 classes")])
def test_another_number_of_labels_than_classes(model: Path, lines: str, said: str) -> None:
    model.with_suffix(".txt").write_text(lines)
    assert_refused(model, said, LabelsMismatch, labels=False)


def test_labels_mismatch_that_shows_at_the_first_run_only(tmp_path: Path) -> None:
    model = hide_output_shape(write_model(tmp_path / "m.onnx", tail="-1x3", declared=None))
    model.with_suffix(".txt").write_text("a\nb\n")
    made = classifier(model, labels=False)
    answers = made.run([picture(), picture()])
    assert [answer.code for answer in answers if isinstance(answer, Problem)] == ["labels_mismatch"] * 2
    with pytest.raises(LabelsMismatch, match=r"2 names.* 3 classes"):
        made.warm_up()


def test_background_class_hint(model: Path) -> None:
    model.with_suffix(".txt").write_text("a\nb\n")
    assert "background" in assert_refused(model, "2 names", LabelsMismatch, labels=False).remedy


@pytest.mark.parametrize(("content", "pattern"), [(b" \n\n", "empty"), (b"caf\xe9\n", "UTF-8")])
def test_an_unusable_labels_file(model: Path, tmp_path: Path, content: bytes, pattern: str) -> None:
    names = tmp_path / "names.txt"
    names.write_bytes(content)
    assert_refused(model, pattern, ModelLoadFailed, labels_file=names)


def test_a_labels_file_that_vanishes(model: Path) -> None:
    model.with_suffix(".txt").write_text("a\nb\nc\n")
    made = Classifier(Classifier.parameters(EngineOptions(labels_model=model)))
    model.with_suffix(".txt").unlink()
    with pytest.raises(ModelLoadFailed, match="does not exist"):
        made.load()


def test_classes_without_names(model: Path) -> None:
    error = assert_refused(model, "no names", ModelLoadFailed, labels=False)
    assert "--labels-file" in error.remedy


def test_the_most_specific_names_win(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", metadata={"names": "{0: 'm0', 1: 'm1', 2: 'm2'}"})

    def first(**options: Any) -> str:
        return next(iter(run_one(classifier(model, labels=False, **options), picture("red"))))

    (tmp_path / "labels.txt").write_text("folder0\nfolder1\nfolder2")
    assert first() == "m0"
    (tmp_path / "m.txt").write_text("file0\nfile1\nfile2")
    assert first() == "file0"
    (tmp_path / "m.onnx.json").write_text('{"labels": ["side0", "side1", "side2"]}')
    assert first() == "side0"
    (tmp_path / "given.txt").write_text("given0\ngiven1\ngiven2")
    assert first(labels_file=tmp_path / "given.txt") == "given0"


def test_a_stray_file_that_is_not_needed_is_not_read(model: Path) -> None:
    model.with_name("labels.txt").write_bytes(b"\xff\xfe")
    assert set(run_one(classifier(model, {"labels": ["r", "g", "b"]}, labels=False), picture())) == {"r", "g", "b"}


def test_labels_txt_beside_a_model_without_names(model: Path) -> None:
    model.with_name("labels.txt").write_text("r\ng\nb\n")
    assert set(run_one(classifier(model, labels=False), picture())) == {"r", "g", "b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat\ndog\n\n\n", ("cat", "dog")),
        ("\ufeffcat\r\ndog\r\n", ("cat", "dog")),
        ("n01440764 tench, Tinca tinca\nn01443537 goldfish", ("tench, Tinca tinca", "goldfish")),
        ("1: dog\n0: cat", ("cat", "dog")),
        ("0\tcat\n1\tdog", ("cat", "dog")),
        ("0: n01440764 tench\n1: n01443537 goldfish", ("tench", "goldfish")),
        ("3: cat\n9: dog", ("3: cat", "9: dog")),
        ("n01440764 tench\nother", ("n01440764 tench", "other")),
        ("0: cat\nother", ("0: cat", "other")),
        ("a\n\nb", ("a", "", "b")),
        ("고양이\n개", ("고양이", "개")),
        ("a\u2028b\nc\x0bd", ("a\u2028b", "c\x0bd")),
        ("\n \n", ()),
    ],
)
def test_label_lines(text: str, expected: tuple[str, ...]) -> None:
    assert parse_labels(text) == expected


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1).filter(
    lambda word: word[0] > "n"
)


@given(st.lists(_WORDS, min_size=1), st.integers(0, 3), st.sampled_from(["\n", "\r\n"]))
def test_any_plain_names_come_back(names: list[str], blanks: int, newline: str) -> None:
    assert parse_labels(newline.join(names) + newline * blanks) == tuple(names)


@given(st.lists(_WORDS, min_size=1), st.randoms())
def test_numbered_names_come_back_in_order(names: list[str], random: Any) -> None:
    lines = [f"{index}: {name}" for index, name in enumerate(names)]
    random.shuffle(lines)
    assert parse_labels("\n".join(lines)) == tuple(names)


# --------------------------------------------------------------------------------------------------------------------
# Where settings come from


def test_flag_beats_sidecar_beats_metadata_beats_default(tmp_path: Path) -> None:
    properties = {"imgtool.mean": "[0.1, 0.1, 0.1]", "imgtool.std": "[0.1, 0.1, 0.1]", "imgtool.resize": "pad"}
    model = write_model(tmp_path / "m.onnx", metadata=properties)
    made = classifier(model, {"mean": [0.2, 0.2, 0.2], "std": 0.2}, classifier={"mean": (0.3,)})
    settings = made._settings
    assert (settings.mean, settings.std, settings.resize) == ((0.3,) * 3, (0.2,) * 3, "pad")
    assert (settings.size, settings.layout, settings.crop_pct) == ((8, 8), "NCHW", 0.875)


def test_size_of_an_open_model(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", shape=("N", 3, "h", "w"), metadata={"imgtool.size": "40x48"})
    assert classifier(model)._settings.size == (40, 48)
    assert classifier(model, classifier={"size": "32"})._settings.size == (32, 32)
    assert classifier(write_model(model, shape=("N", 3, "h", "w")))._settings.size == (224, 224)
    assert classifier(write_model(model, shape=("N", 3, 96, "w")))._settings.size == (96, 96)


def test_a_sidecar_given_by_flag(model: Path, tmp_path: Path) -> None:
    model.with_suffix(".json").write_text('{"mean": 0.1}')
    assert classifier(model)._settings.mean == (0.1,) * 3
    other = tmp_path / "other.json"
    other.write_text('{"mean": 0.2}')
    assert classifier(model, labels_config=other)._settings.mean == (0.2,) * 3


@pytest.mark.parametrize(
    ("text", "error", "pattern"),
    [
        ('{"crop_pc": 0.9}', UnknownKey, "'crop_pc'"),
        ("{", ConfigProblem, "not valid JSON"),
        ("[" * 100_000, ConfigProblem, "not valid JSON"),
        ("[]", ConfigProblem, "not a JSON object"),
        ('{"size": [224, 224, 3]}', ConfigProblem, "size"),
        ('{"size": true}', ConfigProblem, "size"),
        ('{"std": [0.1, 0, 0.1]}', ConfigProblem, "std"),
        ('{"mean": 1' + "0" * 400 + "}", ConfigProblem, "mean"),
        ('{"scale": NaN}', ConfigProblem, "scale"),
        ('{"crop_pct": 1.5}', ConfigProblem, "crop_pct"),
        ('{"labels": {"0": "a", "2": "b"}}', ConfigProblem, "labels"),
        ('{"labels": {"a": "b"}}', ConfigProblem, "labels"),
        ('{"activation": "relu"}', ConfigProblem, "softmax"),
        ('{"image_mean": [0.5], "do_thing": true}', UnknownKey, "do_thing"),
        ('{"image_mean": [0.5], "resample": 17}', ConfigProblem, "cannot be understood"),
        (
            '{"image_mean": [0.5], "size": {"height": 9, "width": 9}, "crop_size": 8, "do_center_crop": true}',
            ConfigProblem,
            "crop smaller",
        ),
        ('{"image_mean": [0.5], "rescale_factor": 0}', ConfigProblem, "cannot be understood"),
    ],
)
def test_an_unusable_sidecar(tmp_path: Path, text: str, error: type[ImgtoolError], pattern: str) -> None:
    path = tmp_path / "side.json"
    path.write_text(text)
    with pytest.raises(error, match=pattern) as caught:
        from_sidecar(path)
    assert caught.value.remedy


def test_a_sidecar_that_vanishes_or_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(PathMissing):
        from_sidecar(tmp_path / "gone.json")
    with pytest.raises(ConfigProblem, match="cannot be read"):
        from_sidecar(tmp_path)


def test_the_nearest_key_is_named(model: Path) -> None:
    model.with_suffix(".json").write_text('{"interpolaton": "bicubic"}')
    with pytest.raises(UnknownKey) as caught:
        Classifier.parameters(EngineOptions(labels_model=model))
    assert "'interpolation'" in caught.value.remedy


def test_mean_in_the_wrong_units(model: Path) -> None:
    refused = assert_refused(model, "outside the scaled pixels", classifier={"mean": (123.7, 116.3, 103.5)})
    assert "scale" in refused.remedy
    caffe = classifier(model, {"mean": [123.7, 116.3, 103.5], "std": 1, "scale": 1, "channels": "BGR"})
    assert max(run_one(caffe, picture("red")).items(), key=lambda item: item[1])[0] == "blue"


def test_raw_pixels_are_not_normalised_with_statistics_for_scaled_ones() -> None:
    settings = resolve({"scale": 1.0}, (1, 3, 8, 8))
    assert (settings.mean, settings.std) == ((0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": {"height": 224, "width": 200}},
            {"mean": (0.5,) * 3, "std": (0.5,) * 3, "size": (224, 200), "resize": "squash"},
        ),
        (
            {"image_mean": [0.5], "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}},
            {"size": (224, 224), "resize": "crop", "crop_pct": 0.875},
        ),
        (
            {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}, "crop_pct": 0.875},
            {"size": (224, 224), "resize": "crop", "crop_pct": 0.875},
        ),
        (
            {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}, "crop_pct": 0.875},
            {"size": (384, 384), "resize": "squash"},
        ),
        ({"image_mean": [0.5], "size": 192, "resample": 3}, {"size": (192, 192), "interpolation": "bicubic"}),
        (
            {"image_mean": [0.5], "size": {"shortest_edge": 64}},
            {"size": (64, 64), "resize": "crop", "crop_pct": 1.0},
        ),
        ({"image_mean": [0.5], "do_normalize": False}, {"mean": (0.0,), "std": (1.0,)}),
        ({"image_mean": [0.5], "do_rescale": False}, {"scale": 1.0}),
        ({"image_mean": [0.5], "do_flip_channel_order": True}, {"channels": "BGR"}),
        ({"image_mean": [0.5], "rescale_factor": 1 / 127.5}, {"scale": pytest.approx(127.5)}),
        ({"image_mean": [0.5], "do_pad": False, "labels": ["a"]}, {"labels": ("a",)}),
    ],
)
def test_a_preprocessor_config_of_transformers(tmp_path: Path, table: dict[str, Any], expected: dict[str, Any]) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(table))
    found = from_sidecar(path)
    assert {key: found[key] for key in expected} == expected


def test_metadata_of_ultralytics() -> None:
    found = from_metadata({"imgsz": "[64, 96]", "names": "{0: 'cat', 1: 'dog'}", "task": "classify", "stride": "1"})
    assert found["labels"] == ("cat", "dog")
    settings = resolve(found, (1, 3, None, None))
    assert (settings.size, settings.mean, settings.crop_pct) == ((64, 96), (0.0,) * 3, 1.0)


@pytest.mark.parametrize("text", ["__import__('os')", "{0: 'a'", "(" * 5000, "{None: 'a'}", "{1e999: 'a'}", ""])
def test_foreign_metadata_never_raises(text: str) -> None:
    assert from_metadata({"names": text, "imgsz": text}) == {}


def test_our_own_metadata_must_be_right() -> None:
    with pytest.raises(ModelNotUsable, match="'sise'") as caught:
        from_metadata({"imgtool.sise": "224"})
    assert "'size'" in caught.value.remedy
    with pytest.raises(ModelNotUsable, match="metadata"):
        from_metadata({"imgtool.labels": "{None: 'a'}"})


@given(st.integers(1, 8192), st.integers(1, 8192))
def test_every_way_to_write_a_size(height: int, width: int) -> None:
    written = [f"{height}x{width}", f" {height} X {width} ", [height, width], {"height": height, "width": width}]
    assert {parse_side_lengths(value) for value in written} == {(height, width)}
    assert parse_side_lengths(str(height)) == parse_side_lengths(height) == (height, height)


# --------------------------------------------------------------------------------------------------------------------
# Geometry


def _settings(size: tuple[int, int] = (224, 224), **changes: Any) -> Preprocessing:
    return Preprocessing(size=size, mean=(0.0,) * 3, std=(1.0,) * 3, **changes)


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        ("crop", {"red": 0, "green": 1, "blue": 0}),
        ("squash", {"red": 1 / 3, "green": 1 / 3, "blue": 1 / 3}),
        ("pad", {"red": 1 / 9, "green": 1 / 9, "blue": 1 / 9}),
    ],
)
def test_what_a_model_sees_of_a_wide_image(tmp_path: Path, resize: str, expected: dict[str, float]) -> None:
    stripes = np.repeat(np.array([list(COLOURS.values())], dtype=np.uint8), 24, axis=1).repeat(24, axis=0)
    model = write_model(tmp_path / "m.onnx", shape=(1, 3, 24, 24), declared=(1, 3))
    sidecar = {**PLAIN, "crop_pct": 1, "interpolation": "box"}
    found = run_one(classifier(model, sidecar, classifier={"resize": resize}), of_pixels(stripes))
    assert found == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("source", [(1000, 600), (53, 91), (300, 301), (224, 224), (4000, 17)])
def test_crop_is_resize_then_centre_crop(source: tuple[int, int], interpolation: str) -> None:
    width, height = source
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    short = min(source)
    scaled = (int(256 * width / short), int(256 * height / short))
    left, top = round((scaled[0] - 224) / 2), round((scaled[1] - 224) / 2)
    whole = Image.fromarray(pixels).resize(scaled, Image.Resampling[interpolation.upper()])
    expected = np.asarray(whole.crop((left, top, left + 224, top + 224))).astype(int)
    (found,) = prepare([pixels], _settings(interpolation=interpolation, layout="NHWC"), "uint8")
    # Coordinates are rounded differently in the one step and the two; a grey level is all it may cost.
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_hair_thin_image_costs_no_huge_intermediate() -> None:
    thin = np.full((1, 60_000, 3), 77, dtype=np.uint8)
    assert (prepare([thin], _settings(), "uint8") == 77).all()


@pytest.mark.parametrize("resize", ["crop", "squash", "pad"])
def test_layouts_and_sizes_of_tensors(resize: str) -> None:
    images = [np.zeros((9, 5, 3), dtype=np.uint8), np.zeros((1, 1, 3), dtype=np.uint8)]
    assert prepare(images, _settings((6, 10), resize=resize), "float32").shape == (2, 3, 6, 10)
    last = prepare(images, _settings((6, 10), resize=resize, layout="NHWC"), "float16")
    assert (last.shape, last.dtype, last.flags.c_contiguous) == ((2, 6, 10, 3), np.float16, True)


def test_padding_normalises_to_nothing() -> None:
    settings = Preprocessing(size=(8, 8), mean=(0.2, 0.4, 0.6), std=(0.1,) * 3, resize="pad", channels="BGR")
    tensor = prepare([np.full((4, 8, 3), 255, dtype=np.uint8)], settings, "float32")[0]
    assert tensor[:, 0] == pytest.approx(np.zeros((3, 8)), abs=0.02)
    assert tensor[:, 4] == pytest.approx(np.array([[8.0], [6.0], [4.0]]).repeat(8, axis=1), abs=1e-4)


_SIDES = st.integers(1, 5000)


@given(st.tuples(_SIDES, _SIDES), st.tuples(st.integers(1, 600), st.integers(1, 600)), st.floats(0.1, 1))
def test_the_crop_lies_in_the_middle_of_the_image(
    source: tuple[int, int], size: tuple[int, int], crop_pct: float
) -> None:
    settings = _settings(size, crop_pct=crop_pct)
    covered = scaled_to_cover(source, settings)
    left, top, right, bottom = crop_box(source, settings)
    assert 0 <= left < right <= source[0]
    assert 0 <= top < bottom <= source[1]
    assert covered[0] >= size[1]
    assert covered[1] >= size[0]
    # Off the centre by half a pixel of the scaled image at most.
    assert abs(left - (source[0] - right)) <= source[0] / covered[0] + 1e-6
    assert abs(top - (source[1] - bottom)) <= source[1] / covered[1] + 1e-6


# --------------------------------------------------------------------------------------------------------------------
# Scores

_LOGITS = hnp.arrays(np.float64, st.integers(2, 12), elements=st.floats(-1e30, 1e30))


@given(_LOGITS, st.floats(-100, 100))
def test_softmax_is_a_distribution_that_keeps_the_order(row: np.ndarray, shift: float) -> None:
    found = activate(row, "softmax")
    assert ((found >= 0) & (found <= 1)).all()
    assert found.sum() == pytest.approx(1)
    assert found[row.argmax()] == found.max()
    small = np.clip(row, -50, 50)
    assert activate(small + shift, "softmax") == pytest.approx(activate(small, "softmax"), abs=1e-9)


@given(_LOGITS)
def test_sigmoid_is_symmetric_and_bounded(row: np.ndarray) -> None:
    found = activate(row, "sigmoid")
    assert ((found >= 0) & (found <= 1)).all()
    assert found + activate(-row, "sigmoid") == pytest.approx(np.ones_like(row))


@given(_LOGITS)
def test_auto_makes_probabilities_and_leaves_them_alone(row: np.ndarray) -> None:
    once = activate(row, "auto")
    assert abs(once.sum() - 1) <= SUM_TOLERANCE
    assert (activate(once, "auto") == once).all()


def test_auto_gives_a_single_class_the_sigmoid() -> None:
    assert activate(np.array([0.0]), "auto") == [0.5]


@given(
    hnp.arrays(np.float64, st.integers(1, 40), elements=st.sampled_from([0.0, 0.1, 0.25, 0.25000001, 0.7, 1.0])),
    st.integers(1, 50),
    st.floats(0, 1),
)
def test_best_is_the_head_of_the_sorted_classes(values: np.ndarray, top_k: int, threshold: float) -> None:
    names = [str(index) for index in range(len(values))]
    ranked = sorted(range(len(values)), key=lambda index: (-values[index], index))
    expected = [Label(names[index], float(values[index])) for index in ranked[:top_k] if values[index] >= threshold]
    assert list(best(values, names, top_k, threshold)) == expected
