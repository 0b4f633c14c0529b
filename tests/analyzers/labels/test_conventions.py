"""Classifiers as other people publish them: what their outputs are, where their weights and names lie, which folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from imgtool.analyzers.labels.classifier import Classifier
from imgtool.errors import ImgtoolError, LabelsMismatch, ModelMissing, ModelNotUsable
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions
from imgtool.types import Problem

SIDE = 8
PLAIN = {"mean": 0, "std": 1, "resize": "squash"}
FISH = ("tench", "goldfish", "shark")
FISH_LOGITS = (1.0, 3.0, 2.0)
FISH_SCORES = {"goldfish": 0.665241, "shark": 0.244728, "tench": 0.090031}

Ending = Callable[[str], list[onnx.NodeProto]]


def node(kind: str, *values: str, **attributes: Any) -> onnx.NodeProto:
    """An operation with one output, the last of ``values``."""
    return helper.make_node(kind, list(values[:-1]), [values[-1]], **attributes)


def build(
    logits: tuple[float, ...],
    *ending: onnx.NodeProto,
    outputs: dict[str, tuple[Any, ...]] | None = None,
    layout: str = "NCHW",
    weights: np.ndarray | None = None,
    metadata: dict[str, str] | None = None,
) -> onnx.ModelProto:
    """A classifier that gives ``logits`` for each black image. ``ending`` leads from ``logits`` to ``scores``."""
    shape = ["batch", 3, SIDE, SIDE] if layout == "NCHW" else ["batch", SIDE, SIDE, 3]
    matrix = np.zeros((3, len(logits))) if weights is None else weights
    nodes = [
        node("ReduceMean", "image", "colour", axes=[2, 3] if layout == "NCHW" else [1, 2], keepdims=0),
        node("Gemm", "colour", "weights", "bias", "logits" if ending else "scores"),
        *ending,
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (outputs or {"scores": ("batch", len(logits))}).items()
        ],
        [
            numpy_helper.from_array(matrix.astype(np.float32), "weights"),
            numpy_helper.from_array(np.float32(logits), "bias"),
            numpy_helper.from_array(np.float32(1), "one"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, metadata or {})
    return model


def beside(model: Path, names: tuple[str, ...] | None = FISH, settings: dict[str, Any] | None = PLAIN) -> None:
    if names is not None:
        model.with_suffix(".txt").write_text("\n".join(names))
    if settings is not None:
        model.with_suffix(".json").write_text(json.dumps(settings))


def answer(model: Path, level: int = 0, **options: Any) -> dict[str, float]:
    """Labels of a plain grey image, by a model loaded as a worker loads it."""
    made = Classifier(json.loads(json.dumps(Classifier.parameters(EngineOptions(labels_model=model, **options)))))
    made.load()
    (labels,) = made.run([Picture(np.full((SIDE, 2 * SIDE, 3), level, np.uint8), 2 * SIDE, SIDE, "PNG")])
    assert not isinstance(labels, Problem), labels
    return {label.label: label.score for label in labels}


def fingerprinted(**options: Any) -> dict[str, Any]:
    found = Classifier.parameters(EngineOptions(**options))
    del found["paths"]
    return found


# --------------------------------------------------------------------------------------------------------------------
# Probabilities and logits

BY_HAND = (
    node("Neg", "logits", "n"),
    node("Exp", "n", "e"),
    node("Add", "e", "one", "s"),
    node("Div", "one", "s", "scores"),
)
SHARES = (
    node("Exp", "logits", "e"),
    node("ReduceSum", "e", "sum", keepdims=1, noop_with_empty_axes=0),
    node("Div", "e", "sum", "scores"),
)  # fmt: skip


@pytest.mark.parametrize(
    "ending",
    [
        (node("Sigmoid", "logits", "scores"),),
        (node("Sigmoid", "logits", "p"), node("Cast", "p", "q", to=1), node("Flatten", "q", "scores")),
        BY_HAND,
    ],
    ids=["sigmoid", "cast", "by hand"],
)
@pytest.mark.parametrize(("logit", "score"), [(0.3, 0.574443), (-2.2, 0.099750)])
def test_one_probability_is_not_made_one_again(tmp_path: Path, ending: Any, logit: float, score: float) -> None:
    model = tmp_path / "m.onnx"
    onnx.save(build((logit,), *ending), model)
    beside(model, ("hot dog",))
    assert answer(model) == pytest.approx({"hot dog": score}, abs=1e-5)


@pytest.mark.parametrize("ending", [(node("Sigmoid", "logits", "scores"),), BY_HAND], ids=["sigmoid", "by hand"])
def test_each_tag_passes_the_threshold_by_itself(tmp_path: Path, ending: Any) -> None:
    model, logits = tmp_path / "m.onnx", np.full(200, -5.0)
    logits[[3, 40, 41, 90, 120, 150, 199]] = (3, 2, 0.4, 1, 1, 1, 1)
    onnx.save(build(tuple(logits), *ending), model)
    beside(model, tuple(f"tag {place}" for place in range(200)))
    found = answer(model, threshold=0.35)
    assert found["tag 3"] == pytest.approx(0.952574, abs=1e-5)
    assert found["tag 41"] == pytest.approx(0.598688, abs=1e-5)
    assert len(found) == 7  # more than the five of labels that exclude each other
    assert len(answer(model, threshold=0.35, top_k=2)) == 2
    assert len(answer(model)) == 5


@pytest.mark.parametrize(
    "ending",
    [
        (node("Softmax", "logits", "scores", axis=1),),
        (node("LogSoftmax", "logits", "scores", axis=1),),
        (node("Identity", "logits", "scores"),),
        SHARES,
        (),
    ],
    ids=["softmax", "log softmax", "logits", "by hand", "layer"],
)
def test_shares_come_out_alike_however_the_graph_ends(tmp_path: Path, ending: Any) -> None:
    model = tmp_path / "m.onnx"
    onnx.save(build(FISH_LOGITS, *ending), model)
    beside(model)
    assert answer(model) == pytest.approx(FISH_SCORES, abs=1e-5)


def test_logits_that_lie_between_0_and_1_for_one_image_are_still_logits(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    onnx.save(build((0.1, 0.9), node("Mul", "logits", "one", "scores"), weights=np.full((3, 2), -4.0)), model)
    beside(model, ("no", "yes"))
    assert answer(model) == pytest.approx({"yes": 0.689974, "no": 0.310026}, abs=1e-5)


def test_what_is_said_about_the_activation_counts(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    onnx.save(build((0.0, 0.0)), model)
    beside(model, ("a", "b"))
    assert answer(model) == {"a": 0.5, "b": 0.5}
    assert answer(model, classifier={"activation": "none"}) == {"a": 0, "b": 0}
    onnx.save(build((1.0, 1.0)), model)
    assert answer(model, classifier={"activation": "sigmoid"})["a"] == pytest.approx(0.731059, abs=1e-5)


def test_images_that_a_model_mixes_up_in_a_batch_are_answered_one_by_one(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    mix = (node("ReduceMean", "logits", "all", axes=[0], keepdims=1), node("Add", "logits", "all", "scores"))
    onnx.save(build((0.0, 0.0, 0.0), *mix, weights=np.diag([4.0, 4, 4])), model)
    beside(model, ("red", "green", "blue"))
    made = Classifier(Classifier.parameters(EngineOptions(labels_model=model)))
    made.load()
    pixels = [np.full((SIDE, SIDE, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255))]
    pictures = [Picture(each, SIDE, SIDE, "PNG") for each in pixels]
    assert made.run(pictures) == [made.run([picture])[0] for picture in pictures]


# --------------------------------------------------------------------------------------------------------------------
# Weights in other files


def write_external(model: Path, location: str, logits: tuple[float, ...], nested: bool = False) -> None:
    """A model whose bias is in the file ``location``; ``nested`` in a constant inside a branch."""
    (model.parent / location).write_bytes(np.float32(logits).tobytes())
    outside = TensorProto(name="bias", data_type=TensorProto.FLOAT, dims=[len(logits)], data_location=1)
    for key, value in (("location", location), ("offset", "0"), ("length", str(4 * len(logits)))):
        outside.external_data.add(key=key, value=value)
    made = build((0.0,) * len(logits))
    graph = made.graph
    del graph.initializer[1]
    if nested:
        info = helper.make_tensor_value_info("value", TensorProto.FLOAT, [len(logits)])
        inside = helper.make_graph([node("Constant", "value", value=outside)], "branch", [], [info])
        graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
        graph.node.insert(0, node("If", "yes", "bias", then_branch=inside, else_branch=inside))
    else:
        graph.initializer.append(outside)
    model.write_bytes(made.SerializeToString())


@pytest.mark.parametrize("nested", [False, True])
def test_weights_in_a_file_of_any_name_are_part_of_the_fingerprint(tmp_path: Path, nested: bool) -> None:
    model = tmp_path / "m.onnx"
    write_external(model, "some weights.bin", FISH_LOGITS, nested)
    beside(model)
    first, probe = fingerprinted(labels_model=model), Classifier.probe(EngineOptions(labels_model=model))
    assert probe.size_bytes == model.stat().st_size + 12
    (tmp_path / "some weights.bin").write_bytes(np.float32(FISH_LOGITS[::-1]).tobytes())
    assert fingerprinted(labels_model=model) != first
    assert Classifier.probe(EngineOptions(labels_model=model)).model_version != probe.model_version


def test_answers_of_weights_in_another_file(tmp_path: Path) -> None:
    write_external(tmp_path / "m.onnx", "w", FISH_LOGITS)
    beside(tmp_path / "m.onnx")
    assert answer(tmp_path / "m.onnx") == pytest.approx(FISH_SCORES, abs=1e-5)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    write_external(tmp_path / "m.onnx", "lost.bin", FISH_LOGITS)
    (tmp_path / "lost.bin").unlink()
    probe = Classifier.probe(EngineOptions(labels_model=tmp_path / "m.onnx"))
    assert not probe.available
    assert "'lost.bin'" in probe.reason
    with pytest.raises(ModelMissing, match=r"lost\.bin"):
        Classifier.parameters(EngineOptions(labels_model=tmp_path / "m.onnx"))


# --------------------------------------------------------------------------------------------------------------------
# Several outputs


@pytest.mark.parametrize("declared", [True, False])
def test_the_output_as_wide_as_there_are_names(tmp_path: Path, declared: bool) -> None:
    model = tmp_path / "m.onnx"
    made = build(
        FISH_LOGITS,
        node("Identity", "logits", "scores"),
        node("Concat", "colour", "logits", "features", axis=1),
        outputs={"features": ("batch", 6 if declared else "f"), "scores": ("batch", 3 if declared else "s")},
    )
    onnx.save(made, model)
    beside(model)
    assert answer(model) == pytest.approx(FISH_SCORES, abs=1e-5)
    model.with_suffix(".txt").write_text("a\nb\n")
    with pytest.raises(LabelsMismatch, match=r"2 names, but the model has 6 or 3 classes"):
        answer(model)


def test_a_lone_class_without_a_dimension_of_its_own(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    squeeze = (node("Sigmoid", "logits", "p"), node("Squeeze", "p", "axes", "scores"))
    made = build((0.3,), *squeeze, outputs={"scores": ("batch",)})
    made.graph.initializer.append(numpy_helper.from_array(np.array([1]), "axes"))
    onnx.save(made, model)
    beside(model, ("hot dog",))
    assert answer(model) == pytest.approx({"hot dog": 0.574443}, abs=1e-5)


# --------------------------------------------------------------------------------------------------------------------
# Folders

VIT = {
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": SIDE, "width": SIDE},
    "resample": 2,
}
RAMP = np.diag([4.0, 4, 4])
"""Logits of an image by its channels."""


def write_folder(folder: Path, place: str = "model.onnx", net: onnx.ModelProto | None = None, **tables: Any) -> Path:
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    onnx.save(net or build(FISH_LOGITS, weights=RAMP), folder / place)
    for name, table in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(table))
    return folder


def expected(*, mean: float, std: float, level: int = 51) -> dict[str, float]:
    logits = np.array(FISH_LOGITS) + 4 * (level / 255 - mean) / std
    shares = np.exp(logits) / np.exp(logits).sum()
    return dict(zip(FISH, shares.tolist(), strict=True))


@pytest.mark.parametrize("place", ["model.onnx", "onnx/model.onnx", "other.onnx"])
@pytest.mark.parametrize("named", ["folder", "file"])
def test_a_folder_of_transformers(tmp_path: Path, place: str, named: str) -> None:
    config = {"id2label": {str(k): name for k, name in enumerate(FISH)}, "model_type": "vit"}
    channels = np.array([[4.0, 0, 0], [0, 4, 0], [0, 0, 4]])
    folder = write_folder(
        tmp_path / "m", place, build(FISH_LOGITS, weights=channels), config=config, preprocessor_config=VIT
    )
    found = answer(folder if named == "folder" else folder / place, level=51)
    assert found == pytest.approx(expected(mean=0.5, std=0.5), abs=1e-5)
    assert not Classifier.probe(EngineOptions(labels_model=folder)).notice


def test_labels_that_do_not_exclude_each_other_by_the_configuration(tmp_path: Path) -> None:
    config = {"id2label": {"0": "a", "1": "b"}, "problem_type": "multi_label_classification"}
    folder = write_folder(tmp_path, net=build((0.0, 3.0)), config=config, preprocessor_config=VIT)
    assert answer(folder) == pytest.approx({"a": 0.5, "b": 0.952574}, abs=1e-5)


def test_a_folder_of_timm(tmp_path: Path) -> None:
    cfg = {"input_size": [3, SIDE, SIDE], "interpolation": "bicubic", "crop_pct": 0.95, "mean": [0.5] * 3}
    config = {
        "architecture": "resnet18",
        "label_names": ["n1", "n2", "n3"],
        "label_descriptions": dict(zip(("n1", "n2", "n3"), FISH, strict=True)),
        "pretrained_cfg": {**cfg, "std": [0.25] * 3, "crop_mode": "center"},
    }
    folder = write_folder(tmp_path, net=build(FISH_LOGITS, weights=RAMP), config=config)
    assert answer(folder, level=51) == pytest.approx(expected(mean=0.5, std=0.25), abs=1e-5)


def test_a_tagger_that_takes_raw_pixels(tmp_path: Path) -> None:
    """Blue first, 0 to 255, white around: as taggers with such a list see images, whatever timm's file says."""
    timm = {"architecture": "vit", "pretrained_cfg": {"input_size": [3, SIDE, SIDE], "mean": [0.5], "std": [0.5]}}
    model = build((0.0, 0.0), node("Sigmoid", "logits", "scores"), layout="NHWC", weights=np.array([[1 / 255, 0]] * 3))
    folder = write_folder(tmp_path, net=model, config=timm)
    (folder / "selected_tags.csv").write_text("tag_id,name,category,count\n900,sky,9,5\n17,sea,0,4\n")
    # The image is twice as wide as high: half of what the model sees is white.
    assert answer(folder, level=0) == pytest.approx({"sky": 1 / (1 + np.exp(-1.5)), "sea": 0.5}, abs=1e-3)


@pytest.mark.parametrize(
    ("files", "error", "pattern"),
    [
        ((), ModelNotUsable, "has no ONNX file"),
        (("a.onnx", "b.onnx"), ModelNotUsable, r"several ONNX files: a\.onnx, b\.onnx"),
        (("model.safetensors",), ModelNotUsable, "for PyTorch"),
    ],
)
def test_a_folder_that_cannot_be_used(tmp_path: Path, files: Any, error: type[ImgtoolError], pattern: str) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(error, match=pattern) as caught:
        Classifier.parameters(EngineOptions(labels_model=tmp_path))
    assert caught.value.remedy
    assert not Classifier.probe(EngineOptions(labels_model=tmp_path)).available


def test_names_in_the_metadata_of_other_exporters(tmp_path: Path) -> None:
    for key, text in (("character", "tench\ngoldfish\nshark\n"), ("classes", "tench, goldfish, shark")):
        onnx.save(build(FISH_LOGITS, metadata={key: text}), tmp_path / "m.onnx")
        assert answer(tmp_path / "m.onnx") == pytest.approx(FISH_SCORES, abs=1e-5)


def test_a_report_with_the_name_of_the_model_is_no_sidecar(tmp_path: Path) -> None:
    onnx.save(build(FISH_LOGITS), tmp_path / "m.onnx")
    beside(tmp_path / "m.onnx", settings={"epoch": 16, "run_name": "x", "score": 0.75})
    assert answer(tmp_path / "m.onnx") == pytest.approx(FISH_SCORES, abs=1e-5)


# --------------------------------------------------------------------------------------------------------------------
# What is assumed, and what cannot be obeyed


def test_what_is_assumed_is_said(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    onnx.save(build(FISH_LOGITS), model)
    beside(model, settings=None)
    notice = Classifier.probe(EngineOptions(labels_model=model)).notice
    assert "resize crop, crop_pct 0.875, bilinear, RGB" in notice
    assert "mean 0.485,0.456,0.406" in notice
    partly = Classifier.probe(EngineOptions(labels_model=model, classifier={"mean": (0.5,), "std": (0.5,)})).notice
    assert "resize crop" in partly
    assert "mean" not in partly
    beside(model)
    assert not Classifier.probe(EngineOptions(labels_model=model)).notice


@pytest.mark.parametrize("way", ["flags", "JSON"])
@pytest.mark.parametrize(
    ("settings", "pattern"),
    [
        ({"resize": "crop", "fill": [255.0]}, "fill means nothing"),
        ({"resize": "none", "crop_pct": 0.5}, "crop_pct means nothing"),
        ({"resize": "none", "interpolation": "bicubic"}, "interpolation means nothing"),
        ({"channels": "L"}, "3 channels"),
        ({"size": [9, 9]}, "8x8 pixels"),
        ({"layout": "NHWC"}, "8 channels"),
        ({"scale": 1.0, "mean": [0.0], "std": [1.0]}, "uint8"),
        ({"std": [0.5]}, "uint8"),
    ],
)
def test_settings_that_cannot_be_obeyed_are_refused(
    tmp_path: Path, way: str, settings: dict[str, Any], pattern: str
) -> None:
    model, made = tmp_path / "m.onnx", build(FISH_LOGITS)
    if pattern == "uint8":
        settings = {**settings, "scale": 2.0} if "scale" in settings else settings
        made.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
        made.graph.node.insert(0, node("Cast", "image", "floats", to=1))
        made.graph.node[1].input[0] = "floats"
    onnx.save(made, model)
    beside(model, settings=settings if way == "JSON" else None)
    with pytest.raises(ModelNotUsable, match=pattern) as caught:
        answer(model, **({"classifier": settings} if way == "flags" else {}))
    assert caught.value.remedy
