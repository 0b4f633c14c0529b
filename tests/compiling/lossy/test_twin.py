"""The lossy twin: built where it pays, measured, opened only where it was measured. Seconds are planted."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from imgtool.artefacts import find as artefacts
from imgtool.artefacts.find import Artefact, find_blip, precision_parameters
from imgtool.artefacts.manifest import FAST, GATE, NAME, ArtefactManifest, FastMode, Parity, read_manifest
from imgtool.artefacts.requested_model import requested_blip
from imgtool.artefacts.runtime_identity import this_runtime
from imgtool.compiling import compile as compiling_models
from imgtool.compiling.blip.int8 import quantise
from imgtool.compiling.child import CompileFinished, CompileOrder, carry_out, describe
from imgtool.compiling.compile import compile_model
from imgtool.compiling.flat_graph import FlatGraph
from imgtool.compiling.lossy import twin as compile_fast
from imgtool.compiling.lossy.methods import LossyMethod, lossy_methods
from imgtool.compiling.lossy.twin import make_fast
from imgtool.compiling.optimise import optimise
from imgtool.distribution import install_command
from imgtool.errors import ImgtoolError
from imgtool.ground.sealed import encode_sealed
from imgtool.inference import sessions as _sessions
from imgtool.inference.sessions import OpenVinoGraph, open_graph
from imgtool.options import EngineOptions, Precision
from imgtool.types import Task
from imgtool.warming import unit_compiler
from imgtool.warming.unit_compiler import UnitCompiler
from imgtool.warming.units import configured_units
from tests.compiled import OPTIONS, Bench, change_manifest, flip, other_runtime
from tests.fakes import exporter as fake
from tests.fakes.exporter import GRAPH
from tests.model_files import blip_files

PRESENT = Parity(passed=True, figures={"numbers_rms_share": 0.0})


def plant_seconds(monkeypatch: pytest.MonkeyPatch, exact: float, *fast: float) -> None:
    """What the exact and the lossy answers seem to take, in turn; ``fast`` method by method."""
    seconds = iter([each for one in fast for each in [exact, one] * 3])
    monkeypatch.setattr(compile_fast, "_seconds", lambda program, given: next(seconds))


def leave_openvino_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor without bfloat16, or where OpenVINO is not installed."""
    monkeypatch.setattr(compile_fast, "installed_release", lambda _: "")


def made(folder: Path) -> ArtefactManifest:
    """The manifest of ``folder`` with a lossy twin, written as installing would."""
    manifest = read_manifest(folder)
    found = msgspec.structs.replace(manifest, fast=make_fast(folder, manifest, fake.EXPORTER, 1))
    (folder / NAME).write_bytes(encode_sealed(found))
    return found


def twin(folder: Path) -> FastMode:
    """The lossy twin that is made in ``folder``."""
    found = made(folder).fast
    assert found is not None and found.gate == GATE
    return found


def scores(folder: Path, precision: str) -> np.ndarray:
    image = np.random.default_rng(3).standard_normal((2, 3, 8, 8)).astype(np.float32)
    found: np.ndarray = open_graph(folder, GRAPH, threads=1, precision=precision).run({"image": image})["scores"]
    return found


def test_matrices_in_int8_are_kept_where_they_pay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_openvino_out(monkeypatch)
    plant_seconds(monkeypatch, 3.0, 1.5)
    fast = twin(folder)
    assert (fast.executor, fast.method, fast.speed_up) == ("onnxruntime", "matrices in int8", 2.0)
    assert fast.parity.passed and 0 < fast.parity.figures["numbers_rms_share"] < 0.05
    assert fast.parity.detail == "judged on 18 drawn pictures"
    exact, lossy = scores(folder, "exact"), scores(folder, "fast")
    assert not np.array_equal(exact, lossy)
    assert np.abs(exact - lossy).max() < 0.1 * np.abs(exact).max()
    data = folder / FAST / f"{GRAPH}.optimised.onnx.data"
    # A quarter for the weights, a quarter for the packed ones.
    assert data.stat().st_size < (folder / f"{GRAPH}.onnx.data").stat().st_size * 0.6
    assert {path.name for path in (folder / FAST).iterdir()} == {f"{GRAPH}.optimised.onnx", data.name}


def test_a_twin_is_made_anew_in_place_of_one_of_another_make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_openvino_out(monkeypatch)
    plant_seconds(monkeypatch, 3.0, 1.5, 1.5)
    before = made(folder)
    (folder / FAST / f"{GRAPH}.onnx.data").write_bytes(b"weights of the earlier make")
    earlier = msgspec.structs.replace(before, files=describe(folder))
    (folder / NAME).write_bytes(encode_sealed(earlier))
    fast = twin(folder)
    assert (fast.executor, fast.method) == ("onnxruntime", "matrices in int8")


def test_what_hardly_pays_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_openvino_out(monkeypatch)
    plant_seconds(monkeypatch, 1.0, 1.0)
    fast = twin(folder)
    assert (fast.executor, fast.method) == ("", "matrices in int8: 1 times as fast")
    assert not (folder / FAST).exists()
    assert np.array_equal(scores(folder, "exact"), scores(folder, "fast"))


def plant_methods(monkeypatch: pytest.MonkeyPatch, **builds: object) -> None:
    """Methods of onnxruntime by name, in their order."""
    found = [LossyMethod("onnxruntime", name.replace("_", " "), build) for name, build in builds.items()]
    monkeypatch.setattr(compile_fast, "lossy_methods", lambda *_: found)


def in_int8(folder: Path, graphs: Sequence[str], feeds: object) -> bool:
    quantise(folder, folder / FAST, GRAPH, seven_bits=False)
    optimise(folder / FAST, GRAPH)
    return True


def test_an_image_does_not_change_the_answer_of_another_one(folder: Path) -> None:
    in_int8(folder, (), None)
    session = onnxruntime.InferenceSession(folder / FAST / f"{GRAPH}.onnx", providers=["CPUExecutionProvider"])
    images = np.random.default_rng(3).standard_normal((3, 3, 8, 8)).astype(np.float32) * np.array(
        [1, 100, 0], np.float32
    ).reshape(3, 1, 1, 1)
    (together,) = session.run(["scores"], {"image": images})
    for number in range(3):
        (alone,) = session.run(["scores"], {"image": images[number : number + 1]})
        assert np.array_equal(alone[0], together[number])


def fails(folder: Path, graphs: Sequence[str], feeds: object) -> bool:
    (folder / FAST / "half").write_bytes(b"h")
    raise RuntimeError("Exception from core.cpp:1:\nno such operation")


def test_a_method_that_fails_is_told_and_the_next_one_tried(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant_seconds(monkeypatch, 2.0, 1.0)
    plant_methods(monkeypatch, first=fails, second=in_int8)
    assert (twin(folder).method, (folder / FAST / "half").exists()) == ("second", False)
    plant_methods(monkeypatch, first=fails, second=fails)
    fast = twin(folder)
    assert (fast.executor, (folder / FAST).exists()) == ("", False)
    failed = "failed (RuntimeError: Exception from core.cpp:1: no such operation)"
    assert fast.method == f"first {failed}; second {failed}"


def test_the_fastest_of_those_that_pass_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant_methods(monkeypatch, first=in_int8, second=in_int8, third=in_int8)
    plant_seconds(monkeypatch, 6.0, 3.0, 2.0, 4.0)
    fast = twin(folder)
    assert (fast.method, fast.speed_up) == ("second", 3.0)
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [FAST]
    assert not np.array_equal(scores(folder, "exact"), scores(folder, "fast"))


def changed_weights(folder: Path, graphs: Sequence[str], feeds: object, change: Callable[..., np.ndarray]) -> bool:
    """A twin in single precision whose matrix is another one."""
    graph = FlatGraph(folder / f"{GRAPH}.onnx")
    changed = np.ascontiguousarray(change(graph.array("matrix")), np.float32)
    graph.weights["matrix"] = onnx.numpy_helper.from_array(changed, "matrix")
    graph.save(folder / FAST / f"{GRAPH}.onnx")
    optimise(folder / FAST, GRAPH)
    return True


@pytest.mark.parametrize("version", ["v1", "synthetic-base-0"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda matrix: 0 * matrix, id="nothing"),
        pytest.param(lambda matrix: matrix * np.where(np.arange(64) < 32, 1, 1.5)[:, None], id="a wrong scale"),
        pytest.param(lambda matrix: matrix[::-1], id="other weights"),
        pytest.param(lambda matrix: matrix * np.nan, id="no numbers"),
    ],
)
def test_damage_is_refused_however_fast(
    change: Callable[..., np.ndarray], version: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_manifest(folder, model_version=version)
    plant_methods(monkeypatch, damaged=lambda *given: changed_weights(*given, change))
    plant_seconds(monkeypatch, 9.0, 1.0)
    fast = twin(folder)
    assert fast.executor == "" and not (folder / FAST).exists()
    assert fast.method.startswith("damaged: refused, judged on 18 drawn pictures; numbers rms")
    assert np.array_equal(scores(folder, "exact"), scores(folder, "fast"))


def test_an_honest_one_passes_and_random_weights_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_manifest(folder, model_version="synthetic-base-0")
    plant_methods(monkeypatch, honest=lambda *given: changed_weights(*given, lambda matrix: 1.01 * matrix))
    plant_seconds(monkeypatch, 9.0, 1.0)
    fast = twin(folder)
    assert fast.executor == "onnxruntime" and fast.parity.figures["numbers_rms_share"] < 0.02
    assert fast.parity.detail.endswith("the weights are random, so its answers are no evidence")


def test_a_users_pictures_judge_too(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        Image.new("RGB", (64, 64), (40 * number, 90, 0)).save(tmp_path / f"{number}.png")
    leave_openvino_out(monkeypatch)
    plant_seconds(monkeypatch, 3.0, 1.5)
    found = make_fast(folder, read_manifest(folder), fake.EXPORTER, 1, tmp_path)
    assert found.parity.detail == f"judged on 18 drawn pictures and 3 of {tmp_path}"


def test_a_full_disk_is_no_property_of_a_method(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bool:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    plant_methods(monkeypatch, full=full)
    with pytest.raises(OSError, match="No space"):
        make_fast(folder, read_manifest(folder), fake.EXPORTER, 1)


def test_a_damaged_model_gets_no_twin(folder: Path) -> None:
    flip(folder / f"{GRAPH}.optimised.onnx", 100)
    with pytest.raises(ImgtoolError, match="damaged"):
        make_fast(folder, read_manifest(folder), fake.EXPORTER, 1)


def test_a_twin_that_passed_an_earlier_gate_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_openvino_out(monkeypatch)
    plant_seconds(monkeypatch, 3.0, 1.5)
    fast = twin(folder)
    change_manifest(folder, fast=msgspec.structs.replace(fast, gate=0))
    assert read_manifest(folder).judged_fast is None
    assert np.array_equal(scores(folder, "exact"), scores(folder, "fast"))


def test_on_another_machine_it_is_as_exact(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant_seconds(monkeypatch, 2.0, *[1.0] * 4)
    made(folder)
    change_manifest(folder, runtime=other_runtime(onnxruntime="0.1"))
    assert np.array_equal(scores(folder, "exact"), scores(folder, "fast"))


def test_bfloat16_is_for_processors_that_multiply_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    here = other_runtime(more=["amx_bf16"])
    monkeypatch.setattr(_sessions, "this_runtime", lambda: here)
    change_manifest(folder, runtime=here)
    plant_seconds(monkeypatch, 2.0, *[1.0] * 4)
    monkeypatch.setattr(compile_fast, "lossy_methods", lambda *given: lossy_methods(*given)[:1])
    fast = twin(folder)
    assert (fast.executor, fast.method) == ("openvino", "bfloat16 by OpenVINO")
    assert isinstance(open_graph(folder, GRAPH, threads=1, precision="fast"), OpenVinoGraph)
    assert np.allclose(scores(folder, "fast"), scores(folder, "exact"), atol=2.0)
    change_manifest(folder, fast=msgspec.structs.replace(fast, release="0.0"))
    assert np.array_equal(scores(folder, "exact"), scores(folder, "fast"))


def in_this_process(order: CompileOrder, *_: object) -> CompileFinished:
    """Where seconds can be planted."""
    return CompileFinished(carry_out(order, fake.EXPORTER, lambda _: None))


def test_it_is_added_to_what_was_compiled_before(baked: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_openvino_out(monkeypatch)
    plant_seconds(monkeypatch, 2.0, *[1.0] * 4)
    monkeypatch.setattr(compiling_models, "run_compile", in_this_process)
    bench = Bench(baked.weights, tmp_path / "compiled")
    shutil.copytree(baked.root, bench.root)
    before = read_manifest(bench.folder)
    wanted = replace(OPTIONS, fast=True)
    done = bench.compile(wanted)
    assert done.changed
    assert done.artefact.manifest.fast is not None
    assert done.artefact.manifest.fast.executor == "onnxruntime"
    assert done.artefact.manifest.parity == before.parity, "nothing is exported again"
    assert set(before.files) <= set(done.artefact.manifest.files)
    assert not bench.compile(wanted).changed
    assert not bench.compile().changed
    twin = bench.folder / FAST / f"{GRAPH}.optimised.onnx"
    assert done.artefact.manifest.file(f"{FAST}/{twin.name}") is not None
    flip(twin, 100)
    with pytest.raises(ImgtoolError, match="damaged"):
        open_graph(bench.folder, GRAPH, precision="fast")
    open_graph(bench.folder, GRAPH)


def test_a_process_of_its_own_makes_it_too(baked: Bench, tmp_path: Path) -> None:
    bench = Bench(baked.weights, tmp_path / "compiled")
    shutil.copytree(baked.root, bench.root)
    assert bench.compile(replace(OPTIONS, fast=True)).artefact.manifest.fast is not None


# -- finding it


@pytest.fixture
def options(tmp_path: Path) -> EngineOptions:
    weights = tmp_path / "weights"
    weights.mkdir()
    for name, data in blip_files().items():
        (weights / name).write_bytes(data)
    options = EngineOptions(cache_dir=tmp_path / "cache", caption_model=str(weights), precision=Precision.FAST)
    compile_model(requested_blip(options), artefacts.artefacts_root(options), OPTIONS)
    return options


def test_what_was_not_measured_runs_as_exact_and_says_so(options: EngineOptions) -> None:
    found = find_blip(options)
    assert "runs as exact: fast has not been measured; run `imgtool warm-cache" in found.notice
    assert "--precision fast" in found.notice
    assert precision_parameters(found, "fast") == {"precision": "exact"}
    assert find_blip(msgspec.structs.replace(options, precision=Precision.EXACT)).notice == ""


def test_what_is_damaged_gets_no_twin_and_is_compiled_anew(options: EngineOptions) -> None:
    """The files are hashed again when a twin is added: what is damaged then would pass for whole ever after."""
    wanted, root = requested_blip(options), artefacts.artefacts_root(options)
    folder = find_blip(options).folder
    flip(folder / f"{GRAPH}.onnx.data", 300)
    exact = (folder / f"{GRAPH}.onnx.data").read_bytes()
    done = compile_model(wanted, root, replace(OPTIONS, fast=True))
    assert done.artefact.manifest.fast is not None
    assert (done.artefact.folder / f"{GRAPH}.onnx.data").read_bytes() != exact
    assert artefacts.status(root, wanted, full=True).state is artefacts.ArtefactState.COMPILED


def test_what_only_lacks_its_twin_needs_one_library(options: EngineOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*names: str) -> list[str]:
        return [name for name in names if name != "torchvision"]

    monkeypatch.setattr(unit_compiler, "missing_modules", missing)
    exact = UnitCompiler(msgspec.structs.replace(options, precision=Precision.EXACT))
    (unit,) = configured_units(msgspec.structs.replace(options, tasks=(Task.CAPTION,)), ())
    assert exact.unusable(unit) is None
    lossy, anew = UnitCompiler(options).unusable(unit), exact.unusable(unit, anew=True)
    assert (str(lossy), str(anew)) == ("onnx not installed", "torch and transformers and onnx not installed")
    assert lossy is not None and install_command("torch") in lossy.remedy
    found_with(options)
    assert UnitCompiler(options).unusable(unit) is None


def found_with(options: EngineOptions, **fast: object) -> Artefact:
    folder = find_blip(msgspec.structs.replace(options, precision=Precision.EXACT)).folder
    given = {"executor": "onnxruntime", "method": "matrices in int8", "parity": PRESENT, "gate": GATE, **fast}
    change_manifest(folder, fast=msgspec.convert(given, FastMode))
    return find_blip(options)


def test_what_runs_as_exact_says_so(options: EngineOptions) -> None:
    assert found_with(options).notice == ""
    assert "nothing was faster here and as good" in found_with(options, executor="", method="int8 was slower").notice
    assert "fast has not been measured" in found_with(options, gate=0).notice
    assert "needs OpenVINO 0.0" in found_with(options, executor="openvino", release="0.0").notice


def test_the_default_never_answers_otherwise() -> None:
    assert EngineOptions().precision is Precision.EXACT
    assert this_runtime().is_known
