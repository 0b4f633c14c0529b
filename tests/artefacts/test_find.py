"""Compiled models told apart: whole, damaged, foreign, made from other weights, or not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from imgtool.artefacts.find import (
    ArtefactState,
    ArtefactStatus,
    artefacts_root,
    find_blip,
    find_easyocr,
    folder_name,
    status,
)
from imgtool.artefacts.manifest import ArtefactFile, read_manifest
from imgtool.artefacts.requested_model import RequestedModel, requested_blip
from imgtool.artefacts.runtime_identity import cpu_features, this_runtime
from imgtool.compiling.compile import compile_model
from imgtool.distribution import installed_release
from imgtool.errors import ModelMissing
from imgtool.options import EngineOptions
from imgtool.weights.warm_command import WarmCommand
from tests.compiled import FOREIGN_FEATURE, OPTIONS, Bench, change_manifest, flip, other_runtime
from tests.model_files import blip_files

NOTHING = WarmCommand(())


@pytest.fixture
def bench(baked: Bench, tmp_path: Path) -> Bench:
    shutil.copytree(baked.root, tmp_path / "compiled")
    return Bench(baked.weights, tmp_path / "compiled")


def look(bench: Bench, *, full: bool = False) -> ArtefactStatus:
    return status(bench.root, bench.requested, full=full)


def test_what_was_compiled_is_whole_by_size_and_by_hash(bench: Bench) -> None:
    for full in (False, True):
        found = look(bench, full=full)
        assert (found.state, found.usable, found.remedy, found.problems) == (ArtefactState.COMPILED, True, "", ())
        assert found.artefact is not None
        assert found.artefact.notice == ""
    manifest = read_manifest(bench.folder)
    assert (manifest.model, manifest.model_version, manifest.graphs) == ("owner/small", "v1", ("small",))
    assert manifest.parity is not None and manifest.parity.passed
    assert set(manifest.source_files) == {"model.safetensors"}
    assert manifest.runtime == this_runtime()
    assert manifest.size_bytes == sum(p.stat().st_size for p in bench.folder.iterdir() if p.name != "manifest.json")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _link(path: Path) -> None:
    """The same bytes, outside of the folder: onnxruntime follows no link that leads out of it."""
    path.symlink_to(path.rename(path.parents[2] / "outside"))


def _flip_as_a_disk(path: Path) -> None:
    times = path.stat()
    flip(path, 100_000)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


DAMAGE: dict[str, tuple[Callable[[Path], None], ArtefactState, bool]] = {
    "no manifest": (lambda f: (f / "manifest.json").unlink(), ArtefactState.UNREADABLE, False),
    "half a manifest": (lambda f: _truncate(f / "manifest.json"), ArtefactState.UNREADABLE, False),
    "no graph": (lambda f: (f / "small.onnx").unlink(), ArtefactState.MISSING_FILE, False),
    "no weights": (lambda f: (f / "small.onnx.data").unlink(), ArtefactState.MISSING_FILE, False),
    "truncated": (lambda f: _truncate(f / "small.onnx.data"), ArtefactState.CHANGED_FILE, False),
    "empty": (lambda f: (f / "small.optimised.onnx").write_bytes(b""), ArtefactState.CHANGED_FILE, False),
    "longer": (lambda f: (f / "settings.json").write_bytes(b" " * 999), ArtefactState.CHANGED_FILE, False),
    "link": (lambda f: _link(f / "small.onnx.data"), ArtefactState.CHANGED_FILE, False),
    "flipped byte": (lambda f: flip(f / "small.onnx.data", 100_000), ArtefactState.CHANGED_FILE, False),
    "flipped by the disk": (lambda f: _flip_as_a_disk(f / "small.onnx.data"), ArtefactState.CHANGED_FILE, True),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told_by_its_kind_with_a_remedy(bench: Bench, name: str) -> None:
    damage, state, needs_full = DAMAGE[name]
    damage(bench.folder)
    assert look(bench).usable is needs_full, "a byte inside a large file is found by its hash alone"
    found = look(bench, full=True)
    assert (found.state, found.usable, found.artefact) == (state, False, None)
    assert found.problems and str(bench.folder) in found.message
    assert "imgtool warm-cache blip" in found.remedy
    assert ("--compile" in found.remedy) is (state is not ArtefactState.UNREADABLE)


def test_what_another_imgtool_wrote_is_not_read(bench: Bench) -> None:
    change_manifest(bench.folder, compiler=999)
    assert look(bench).state is ArtefactState.UNREADABLE
    assert "another version of imgtool" in look(bench).message


@pytest.mark.parametrize("path", ["../model.onnx", "/etc/passwd", "a/../../b", "a\0b"])
def test_a_manifest_does_not_lead_out_of_its_folder(bench: Bench, path: str) -> None:
    outside = ArtefactFile(path=path, size=1, sha256="", sample="")
    change_manifest(bench.folder, files=(outside,))
    assert look(bench).state is ArtefactState.UNREADABLE


@pytest.mark.parametrize("kept", [{"settings.json"}, {"small.onnx", "small.optimised.onnx"}])
def test_a_manifest_that_leaves_out_what_is_needed_is_not_read(bench: Bench, kept: set[str]) -> None:
    files = tuple(file for file in read_manifest(bench.folder).files if file.path in kept)
    change_manifest(bench.folder, files=files)
    assert look(bench).state is ArtefactState.UNREADABLE
    assert "does not list" in look(bench).message


def test_a_manifest_of_graphs_that_are_not_there_is_not_read(bench: Bench) -> None:
    change_manifest(bench.folder, graphs=("foo",))
    assert look(bench).state is ArtefactState.UNREADABLE


def test_a_folder_behind_a_link_holds_no_file_of_it(bench: Bench) -> None:
    manifest = read_manifest(bench.folder)
    inner = ArtefactFile(path="fast/small.blob", size=1, sha256="", sample="")
    change_manifest(bench.folder, files=(*manifest.files, inner))
    outside = bench.root.parent / "outside"
    outside.mkdir()
    (outside / "small.blob").write_bytes(b"x")
    (bench.folder / "fast").symlink_to(outside)
    assert "symbolic link" in look(bench).message


def test_nothing_compiled_is_not_an_error_of_the_store(tmp_path: Path) -> None:
    bench = Bench.at(tmp_path)
    found = look(bench)
    assert (found.state, found.remedy) == (ArtefactState.ABSENT, "run `imgtool warm-cache blip`")
    assert "has not been compiled" in found.message


@pytest.mark.parametrize(
    ("runtime", "state", "word"),
    [
        (other_runtime(onnxruntime="0.1"), ArtefactState.OTHER_RUNTIME, "onnxruntime 0.1"),
        (other_runtime(more=[FOREIGN_FEATURE]), ArtefactState.OTHER_CPU, f"without {FOREIGN_FEATURE}"),
        (other_runtime(less=this_runtime().cpu_features[:1]), ArtefactState.OTHER_CPU, "with "),
        (msgspec.structs.replace(this_runtime(), architecture="sparc"), ArtefactState.OTHER_CPU, "sparc"),
        (msgspec.structs.replace(this_runtime(), architecture="alpha"), ArtefactState.OTHER_CPU, "an alpha processor"),
    ],
)
def test_one_from_elsewhere_is_used_with_a_line_that_says_so(
    bench: Bench, runtime: object, state: ArtefactState, word: str
) -> None:
    change_manifest(bench.folder, runtime=runtime)
    found = look(bench)
    assert (found.state, found.usable) == (state, True)
    assert found.artefact is not None
    for part in (word, "portable", "imgtool warm-cache blip"):
        assert part in found.artefact.notice


def test_a_machine_that_cannot_be_told_from_others_opens_nothing_optimised(bench: Bench) -> None:
    nameless = msgspec.structs.replace(this_runtime(), onnxruntime="", cpu_features=())
    assert not nameless.serves(nameless)
    change_manifest(bench.folder, runtime=nameless)
    found = status(bench.root, bench.requested, runtime=nameless)
    assert found.state is ArtefactState.OTHER_CPU


def test_of_two_the_one_for_this_machine_is_taken(bench: Bench) -> None:
    here = bench.folder
    elsewhere = bench.root / folder_name(bench.requested, "v1", other_runtime(onnxruntime="0.1"))
    shutil.copytree(here, elsewhere)
    change_manifest(elsewhere, runtime=other_runtime(onnxruntime="0.1"), created="2999-01-01T00:00:00+00:00")
    assert elsewhere != here
    found = look(bench)
    assert found.artefact is not None
    assert found.artefact.folder == here


def test_unfinished_folders_are_no_compiled_models(bench: Bench) -> None:
    bench.folder.rename(bench.folder.with_name(f"{bench.folder.name}.tmp-0123456789ab"))
    assert look(bench).state is ArtefactState.ABSENT


# -- by name, and by the weights that are here


def write_blip(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in blip_files(seed).items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineOptions:
    """A run that names a folder of weights, compiled."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("EASYOCR_MODULE_PATH", str(tmp_path / "easyocr"))
    weights = write_blip(tmp_path / "weights")
    options = EngineOptions(cache_dir=tmp_path / "cache", caption_model=str(weights))
    compile_model(requested_blip(options), artefacts_root(options), OPTIONS)
    return options


def test_the_compiled_model_carries_the_name_and_version_of_its_weights(options: EngineOptions) -> None:
    from imgtool.analyzers.caption.blip import BlipTorch

    found, torch = find_blip(options).manifest, BlipTorch.probe(options)
    if torch.available:
        assert (found.model, found.model_version) == (torch.model, torch.model_version)
    assert found.model == "weights"
    assert found.model_version.startswith("sha256:")


def test_weights_that_changed_make_it_stale_and_weights_that_are_gone_do_not(options: EngineOptions) -> None:
    weights = Path(str(options.caption_model))
    before = find_blip(options).folder
    write_blip(weights, seed=7)
    with pytest.raises(ModelMissing, match="was made from version") as caught:
        find_blip(options)
    assert "imgtool warm-cache" in caught.value.remedy
    assert status(artefacts_root(options), requested_blip(options)).state is ArtefactState.STALE
    shutil.rmtree(weights)
    assert find_blip(options).folder == before


def test_made_for_one_folder_is_not_taken_for_another_or_for_the_published_model(
    options: EngineOptions, tmp_path: Path
) -> None:
    for named in (str(tmp_path / "others" / "weights"), "Salesforce/blip-image-captioning-base", None):
        with pytest.raises(ModelMissing, match="has not been compiled"):
            find_blip(msgspec.structs.replace(options, caption_model=named))


def plant(options: EngineOptions, **changes: object) -> Path:
    """Turn the one compiled model into another."""
    folder = find_blip(options).folder
    manifest = change_manifest(folder, **changes)
    requested = RequestedModel(kind=manifest.kind, model=manifest.model, source=manifest.source, command=NOTHING)
    return folder.rename(folder.with_name(folder_name(requested, manifest.model_version, manifest.runtime)))


PUBLISHED = "Salesforce/blip-image-captioning-base"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_published_model_is_found_without_its_weights_by_name_and_revision(options: EngineOptions) -> None:
    folder = plant(options, model=PUBLISHED, model_version=COMMIT, source="", revision="v2")
    default = msgspec.structs.replace(options, caption_model=None)
    for revision in (None, "v2", COMMIT, COMMIT[:9]):
        assert find_blip(msgspec.structs.replace(default, caption_revision=revision)).folder == folder
    assert find_blip(msgspec.structs.replace(default, caption_model="blip-base")).folder == folder
    for revision in ("v1", "f" * 40, COMMIT[:5]):
        with pytest.raises(ModelMissing, match="has not been compiled"):
            find_blip(msgspec.structs.replace(default, caption_revision=revision))


def test_a_synthetic_one_never_answers_for_a_real_one(options: EngineOptions) -> None:
    plant(options, model=PUBLISHED, model_version="synthetic-0 sha256:abc", source="")
    with pytest.raises(ModelMissing, match="has not been compiled"):
        find_blip(msgspec.structs.replace(options, caption_model=None))


def test_easyocr_is_found_by_the_recogniser_of_the_languages(options: EngineOptions) -> None:
    plant(options, kind="easyocr", model="korean_g2", model_version="easyocr 1, korean_g2 abc", source="")
    assert find_easyocr(options).manifest.model == "korean_g2"
    for languages in (("ko",), ("en", "ko")):
        assert find_easyocr(msgspec.structs.replace(options, languages=languages)).manifest.model == "korean_g2"
    with pytest.raises(ModelMissing, match="japanese_g2 has not been compiled"):
        find_easyocr(msgspec.structs.replace(options, languages=("ja",)))


def test_looking_imports_nothing_heavy(bench: Bench) -> None:
    code = f"""
import sys
from pathlib import Path
from imgtool.options import EngineOptions
from imgtool.artefacts.find import find_blip, status
from imgtool.artefacts.requested_model import RequestedModel
from imgtool.weights.warm_command import WarmCommand
requested = RequestedModel(kind="blip", model="owner/small", source="", command=WarmCommand(()))
assert status(Path({str(bench.root)!r}), requested).usable
try:
    find_blip(EngineOptions(cache_dir=Path({str(bench.root.parent)!r}), caption_model="owner/small"))
except Exception as error:
    raise SystemExit(str(error))
print([name for name in ("numpy", "onnxruntime", "torch", "PIL", "onnx") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


# -- the identity of a machine


def test_cpu_features_are_those_that_kernels_are_chosen_by() -> None:
    intel = "processor\t: 0\nflags\t\t: fpu sse4_2 smep avx avx2 fma avx512f amx_bf16 lm\nbugs\t\t: x\n"
    assert cpu_features(intel) == ("amx_bf16", "avx", "avx2", "avx512f", "fma", "sse4_2")
    assert cpu_features("Features\t: fp asimd asimddp sve bf16 crc32\n") == ("asimd", "asimddp", "bf16", "sve")
    assert cpu_features("") == ("unknown",)


def test_the_release_is_the_one_that_would_be_imported() -> None:
    import onnxruntime

    assert installed_release("onnxruntime") == onnxruntime.__version__ == this_runtime().onnxruntime
    assert installed_release("no_such_package") == ""
