"""The gate on answers: planted damage is refused, an honest way passes, and random weights are no evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from imgtool.analyzers.text.rapidocr import FILES
from imgtool.analyzers.text.rapidocr_session import open_reader
from imgtool.artefacts.manifest import Parity
from imgtool.compiling.flat_graph import FlatGraph
from imgtool.compiling.lossy.gate import FEWEST_ANSWERS, LIMITS, Reading, judge
from imgtool.compiling.lossy.int8_static import quantise_static
from imgtool.compiling.lossy.pictures import pictures
from imgtool.types import TextLine


def line(text: str, left: float = 10, top: float = 10, width: float = 100, height: float = 20) -> TextLine:
    right, bottom = left + width, top + height
    return TextLine(text, 0.9, ((left, top), (right, top), (right, bottom), (left, bottom)))


def reading(seed: int, lines: int = 5) -> Reading:
    numbers = np.random.default_rng(seed).random((1, 20, 30), np.float32)
    return Reading((numbers,), tuple(line(f"line {row}", top=30 * row) for row in range(lines)))


EXACT = [reading(seed) for seed in range(20)]


def judged(fast: Sequence[Reading], exact: Sequence[Reading] = EXACT, *, is_synthetic: bool = False) -> Parity:
    return judge(exact, fast, is_synthetic=is_synthetic, origin="20 drawn pages")


def with_noise(one: Reading, share: float) -> Reading:
    noise = np.random.default_rng(9).standard_normal(one.numbers[0].shape).astype(np.float32)
    return replace(one, numbers=(one.numbers[0] + noise * np.float32(share * one.numbers[0].std()),))


def test_the_same_passes() -> None:
    found = judged(EXACT)
    assert found.passed and set(found.figures.values()) == {0.0}
    assert found.detail == "judged on 20 drawn pages"


@pytest.mark.parametrize(("share", "passed"), [(0.05, True), (0.15, False)])
def test_numbers_may_differ_a_little(share: float, passed: bool) -> None:
    found = judged([with_noise(one, share) for one in EXACT])
    assert found.passed is passed
    assert found.figures["numbers_rms_share"] == pytest.approx(share, rel=0.1)
    assert ("numbers rms 0.15, at most 0.1" in found.detail) is not passed


def zeroed(one: Reading) -> Reading:
    return replace(one, numbers=(np.zeros_like(one.numbers[0]),))


def not_a_number(one: Reading) -> Reading:
    return replace(one, numbers=(one.numbers[0] * np.float32(math.nan),))


def of_another_shape(one: Reading) -> Reading:
    return replace(one, numbers=(one.numbers[0][:, :-1],))


def without_numbers(one: Reading) -> Reading:
    return replace(one, numbers=(one.numbers[0][:0],))


@pytest.mark.parametrize("damage", [zeroed, not_a_number, of_another_shape])
@pytest.mark.parametrize("is_synthetic", [False, True])
def test_broken_numbers_are_refused_whatever_the_answers(
    damage: Callable[[Reading], Reading], is_synthetic: bool
) -> None:
    assert not judged([damage(one) for one in EXACT], is_synthetic=is_synthetic).passed


def test_no_numbers_at_all_are_refused() -> None:
    assert not judged([without_numbers(one) for one in EXACT], [without_numbers(one) for one in EXACT]).passed


@pytest.mark.parametrize("broken", [np.nan, 3.0])
def test_each_output_counts_for_itself(broken: float) -> None:
    """A broken one does not hide behind another of a larger scale, nor behind one that is right."""
    exact = [Reading((one.numbers[0], 100 * one.numbers[0])) for one in EXACT]
    for at in (0, 1):
        fast = [Reading(tuple(each * (broken if at == n else 1) for n, each in enumerate(e.numbers))) for e in exact]
        assert not judged(fast, exact, is_synthetic=True).passed


def test_numbers_that_are_all_alike_must_stay_so() -> None:
    flat = [replace(one, numbers=(np.full((4, 5), 0.25, np.float32),)) for one in EXACT]
    assert judged(flat, flat).passed
    assert not judged(
        EXACT[:0] + [replace(one, numbers=(np.full((4, 5), 0.5, np.float32),)) for one in EXACT], flat
    ).passed


def changed(count: int, change: Callable[[TextLine], TextLine]) -> list[Reading]:
    """The exact readings, with the first line of ``count`` of them changed."""
    return [
        replace(one, lines=(change(one.lines[0]), *one.lines[1:])) if number < count else one
        for number, one in enumerate(EXACT)
    ]


def test_changed_lines_are_counted_on_both_sides() -> None:
    """Two of a hundred lines read otherwise: two that are gone, two that are new, of 102."""
    found = judged(changed(2, lambda each: TextLine("other", each.confidence, each.box)))
    assert found.figures["lines_changed_share"] == pytest.approx(4 / 102)
    assert found.figures["boxes_changed_share"] == 0
    assert not found.passed and "lines changed 0.039, at most 0.03" in found.detail
    assert judged(changed(1, lambda each: TextLine("other", each.confidence, each.box))).passed


def test_moved_boxes_are_counted() -> None:
    near = judged(changed(20, lambda each: line(each.text, left=15, top=0)))
    assert near.figures["boxes_changed_share"] == 0
    far = judged(changed(5, lambda each: line(each.text, left=300)))
    assert far.figures["boxes_changed_share"] == pytest.approx(10 / 105)
    assert not far.passed


def test_a_line_that_is_read_twice_is_new() -> None:
    found = judged([replace(one, lines=(*one.lines, one.lines[0])) for one in EXACT])
    assert found.figures["lines_changed_share"] == pytest.approx(20 / 120)


def test_the_order_of_lines_is_no_change() -> None:
    assert judged([replace(one, lines=one.lines[::-1]) for one in EXACT]).passed


def test_captions() -> None:
    exact = [Reading(one.numbers, caption=f"picture {number}") for number, one in enumerate(EXACT)]
    assert judged(exact, exact).figures == {"numbers_rms_share": 0.0, "captions_changed_share": 0.0}
    for count, passed in ((2, True), (3, False)):
        fast = [replace(one, caption="other") if number < count else one for number, one in enumerate(exact)]
        assert judged(fast, exact).passed is passed


def test_random_weights_are_no_evidence() -> None:
    other = [replace(one, lines=()) for one in EXACT]
    found = judged(other, is_synthetic=True)
    assert found.passed and set(found.figures) == {"numbers_rms_share"}
    assert found.detail == "judged on 20 drawn pages; the weights are random, so its answers are no evidence"


def test_too_few_answers_are_no_evidence_either() -> None:
    few = [reading(seed, lines=0) for seed in range(FEWEST_ANSWERS)]
    found = judged(few, few)
    assert not found.passed and "only 0 answers to compare, of 8 at least" in found.detail


# -- with networks: RapidOCR's detector is the one with real weights that is at hand


def detector() -> Path:
    found = find_spec("rapidocr")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "models" / "PP-OCRv6_det_small.onnx"


PAGES = [cv2.resize(page, (480, 320)) for page in pictures().test[:3]]


def read(path: Path) -> list[Reading]:
    """The score maps of three pages, and the boxes of what is above a half in them."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = []
    for page in PAGES:
        image = ((page.astype(np.float32) / 255 - 0.5) / 0.5).transpose(2, 0, 1)[None]
        maps = session.run(None, {session.get_inputs()[0].name: image})[0]
        contours, _ = cv2.findContours((maps[0, 0] > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        boxes = [cv2.boundingRect(contour) for contour in contours]
        found.append(Reading((maps,), tuple(line("", *box) for box in boxes)))
    return found


def damaged(into: Path, damage: Callable[[FlatGraph], None]) -> Path:
    graph = FlatGraph(detector())
    damage(graph)
    graph.save(into)
    return into


def largest(graph: FlatGraph) -> str:
    return max(
        (node.input[1] for node in graph.nodes if node.op_type == "Conv"), key=lambda name: graph.array(name).size
    )


def replaced(graph: FlatGraph, name: str, array: np.ndarray) -> None:
    graph.weights[name] = numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name)


def no_damage(graph: FlatGraph) -> None:
    pass


def a_wrong_scale(graph: FlatGraph) -> None:
    """As if one layer had been quantised with the scale of another: the fourth convolution gives the double."""
    name = [node.input[1] for node in graph.nodes if node.op_type == "Conv"][3]
    replaced(graph, name, 2 * graph.array(name))


def empty_maps(graph: FlatGraph) -> None:
    name = next(node.input[1] for node in reversed(graph.nodes) if node.op_type == "ConvTranspose")
    replaced(graph, name, 0 * graph.array(name))


def other_weights(graph: FlatGraph) -> None:
    """Those of a model that was trained on something else."""
    rng = np.random.default_rng(0)
    for node in graph.nodes:
        if node.op_type == "Conv":
            array = graph.array(node.input[1])
            replaced(graph, node.input[1], rng.permutation(array.ravel()).reshape(array.shape))


@pytest.fixture(scope="module")
def exact() -> list[Reading]:
    return read(detector())


@pytest.mark.parametrize("damage", [a_wrong_scale, empty_maps, other_weights])
@pytest.mark.parametrize("is_synthetic", [False, True])
def test_a_damaged_network_is_refused(
    damage: Callable[[FlatGraph], None], is_synthetic: bool, exact: list[Reading], tmp_path: Path
) -> None:
    found = judge(exact, read(damaged(tmp_path / "m.onnx", damage)), is_synthetic=is_synthetic, origin="three pages")
    assert not found.passed
    assert found.figures["numbers_rms_share"] > 2 * LIMITS["numbers_rms_share"]


def test_an_honest_one_passes(exact: list[Reading], tmp_path: Path) -> None:
    found = judge(exact, read(damaged(tmp_path / "m.onnx", no_damage)), is_synthetic=False, origin="three pages")
    assert found.passed and found.figures["numbers_rms_share"] < 1e-4


def read_lines(models: dict[str, Path], pages: Sequence[np.ndarray]) -> list[Reading]:
    """What RapidOCR makes of ``pages`` with ``models``: the score maps of its detector, and its lines."""
    reader = open_reader(models, 1, raw=True)
    found, detector = [], reader._engine._load_det_model()
    network = detector.session
    for page in pages:
        maps: list[np.ndarray] = []
        detector.session = lambda image, maps=maps: maps.append(network(image)) or maps[-1]
        lines = reader.read(page)
        found.append(Reading(tuple(maps), lines))
    return found


@pytest.mark.slow
def test_eight_bits_of_a_real_detector_are_refused(tmp_path: Path) -> None:
    """Of plain pages they read every one right: the other kinds of picture are what they fail on."""
    given, folder = pictures(), detector().parent
    models = {section: folder / name for section, name in FILES.items()}
    name = onnx.load(detector(), load_external_data=False).graph.input[0].name
    prepare = open_reader(models, 1, raw=True)._engine._load_det_model().get_preprocess()
    feeds = [{name: np.ascontiguousarray(prepare(page[:, :, ::-1].copy()))} for page in given.calibration]
    quantise_static(detector(), tmp_path / "parts.onnx", feeds)
    # RapidOCR's reader opens files that are whole.
    onnx.save(onnx.load(tmp_path / "parts.onnx"), tmp_path / "int8.onnx")
    both = [read_lines(each, given.test) for each in (models, {**models, "Det": tmp_path / "int8.onnx"})]
    found = judge(*both, is_synthetic=False, origin=given.origin)
    assert not found.passed, found
    plain = judge(*(each[:3] for each in both), is_synthetic=False, origin="plain pages")
    assert plain.passed, plain
