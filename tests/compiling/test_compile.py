"""Compiling: whole or not at all, whatever happens meanwhile. The exporter is planted; processes and files are real."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from imgtool.artefacts.find import ArtefactState, find_blip, status
from imgtool.artefacts.manifest import OPTIMISED, read_manifest
from imgtool.compiling.compile import NotAlike, compile_model
from imgtool.compiling.sources import own_weights
from imgtool.errors import ExitCode, ImgtoolError, ModelLoadFailed, StoreNotWritable
from imgtool.files import FORMER, TEMPORARY
from imgtool.options import EngineOptions
from imgtool.weights.errors import FetchBusy, WeightsUnreadable
from imgtool.weights.observer import FetchObserver
from tests.compiled import OPTIONS, Bench, flip
from tests.model_files import blip_files

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench.at(tmp_path)


@pytest.fixture
def made(baked: Bench, bench: Bench) -> Bench:
    """One where the model was compiled before."""
    shutil.copytree(baked.root, bench.root)
    return bench


def state(bench: Bench, *, full: bool = True) -> ArtefactState:
    return status(bench.root, bench.requested, full=full).state


class Watcher(FetchObserver):
    def __init__(self) -> None:
        self.phases: list[str] = []
        self.waited = 0

    def compiling(self, model: str, phase: str) -> None:
        self.phases.append(f"{model}: {phase}")

    def waiting(self, model: str) -> None:
        self.waited += 1


def test_it_is_built_compared_and_put_in_its_place(bench: Bench) -> None:
    watcher = Watcher()
    done = bench.compile(observer=watcher)
    assert (done.changed, done.artefact.folder) == (True, bench.folder)
    assert watcher.phases == [
        "owner/small: exporting",
        "owner/small: optimising small",
        "owner/small: comparing with the original",
    ]
    assert state(bench) is ArtefactState.COMPILED
    manifest = read_manifest(bench.folder)
    assert manifest == done.artefact.manifest
    assert manifest.parity is not None
    assert manifest.parity.figures["scores_max_abs_difference"] < 1e-2
    assert done.seconds > manifest.seconds > 0


def test_weights_that_optimising_leaves_alone_are_kept_once(made: Bench) -> None:
    bench = made
    sizes = {path.name: path.stat().st_size for path in bench.folder.iterdir()}
    matrix, kernel = 64 * 1024 * 4, 16 * 3 * 9 * 4
    assert sizes["small.onnx.data"] >= matrix
    assert sizes.get(f"small{OPTIMISED}.data", 0) < matrix / 2, "only convolutions are laid out anew"
    assert sizes.get(f"small{OPTIMISED}.data", kernel) >= kernel
    assert not any("raw" in name for name in sizes)


def test_others_may_read_what_was_compiled(bench: Bench) -> None:
    former = os.umask(0o022)
    try:
        bench.compile()
    finally:
        os.umask(former)
    assert {stat.S_IMODE(path.stat().st_mode) for path in bench.folder.iterdir()} == {0o644}


def test_twice_does_nothing(made: Bench) -> None:
    inode = made.folder.stat().st_ino
    again = made.compile()
    assert (again.changed, again.artefact.folder) == (False, made.folder)
    assert made.folder.stat().st_ino == inode


@pytest.mark.parametrize("damage", ["manifest.json", "small.onnx.data"])
def test_what_was_damaged_is_compiled_again(made: Bench, damage: str) -> None:
    bench = made
    (bench.folder / damage).write_bytes(b"")
    assert state(bench) is not ArtefactState.COMPILED
    assert bench.compile().changed
    assert state(bench) is ArtefactState.COMPILED


def test_what_only_a_full_look_finds_is_mended_on_request(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgtool.artefacts.manifest._SMALL", 10_000)
    bench = made
    flip(bench.folder / "small.onnx.data", 4100, by_disk=True)
    assert not bench.compile().changed
    assert state(bench) is ArtefactState.CHANGED_FILE
    assert bench.anew().changed
    assert state(bench) is ArtefactState.COMPILED


@pytest.mark.parametrize(
    ("disturb", "error", "word"),
    [
        ("differ", NotAlike, "does not agree with the original and was not installed"),
        ("crash", ModelLoadFailed, "killed by signal 9"),
        ("raise", ModelLoadFailed, "RuntimeError: planted"),
        ("full", StoreNotWritable, "no space left"),
    ],
)
def test_a_compile_that_fails_leaves_nothing_and_says_why(
    bench: Bench, disturb: str, error: type[ImgtoolError], word: str
) -> None:
    with pytest.raises(error, match=word) as caught:
        bench.compile(disturb=disturb)
    assert caught.value.remedy
    assert caught.value.exit_code in (ExitCode.MODEL_MISSING, ExitCode.NOT_WRITABLE)
    assert bench.folders == []
    assert bench.compile().changed


def test_a_compile_that_stands_still_is_ended(bench: Bench, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    with pytest.raises(ModelLoadFailed, match="exporting took more than 4 s") as caught:
        bench.compile(replace(OPTIONS, timeout=4.0), disturb="export hangs", flag=str(flag))
    assert "--load-timeout" in caught.value.remedy
    _require_end(int(flag.read_text()))
    assert bench.folders == []
    assert bench.compile().changed


def test_a_failed_attempt_at_another_one_leaves_the_former_in_its_place(made: Bench) -> None:
    before = made.folder
    with pytest.raises(NotAlike):
        made.anew(disturb="differ")
    assert made.folders == [before]
    assert state(made) is ArtefactState.COMPILED


def test_without_weights_there_is_nothing_to_compile(bench: Bench) -> None:
    with pytest.raises(ModelLoadFailed, match="not here"):
        compile_model(replace(bench.requested, folder=None, version=None), bench.root, OPTIONS)


# -- killed


PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from dataclasses import replace
from imgtool.weights.observer import FetchObserver
from imgtool.options import EngineOptions
from tests.compiled import OPTIONS, Bench
from imgtool import files
from imgtool.artefacts import install as installing

flag, point, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
bench = Bench(folder / "weights", folder / "compiled")

def die(*_, **__):
    flag.write_text("0")
    os.kill(os.getpid(), signal.SIGKILL)

if point == "before the manifest":
    installing.encode_sealed = die
elif point == "before the move":
    files.put_in_place = installing.put_in_place = die
elif point == "between two moves":
    real, calls = Path.replace, []
    def replace_(self, target):
        calls.append(target)
        return die() if len(calls) == 3 else real(self, target)
    Path.replace = replace_
elif point == "after the move":
    files.shutil.rmtree = die
class Seen(FetchObserver):
    def compiling(self, model, phase):
        if point == "until nobody sees it" and phase == "exporting":
            flag.write_text("0")
            while flag.exists():
                time.sleep(0.02)

arguments = {"disturb": point, "flag": str(flag)} if point.endswith("hangs") else {}
bench.compile(replace(OPTIONS, anew=True), Seen(), **arguments)
"""


def start(bench: Bench, flag: Path, point: str) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-c", PROGRAM, str(flag), point, str(bench.root.parent)]
    return subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def killed(bench: Bench, flag: Path, point: str) -> int:
    """Compile in a process that is killed at ``point``; the process that did the work, where there was one."""
    with start(bench, flag, point) as process:
        deadline = time.monotonic() + 60
        while not (flag.exists() and flag.read_text()) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    assert flag.exists(), "it never came to that point"
    return int(flag.read_text())


@pytest.fixture
def flag(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "flag"


BEFORE = ["export hangs", "parity hangs", "before the manifest", "before the move"]


@pytest.mark.parametrize("point", BEFORE)
def test_a_kill_leaves_nothing_half_installed_and_the_next_compile_completes(
    bench: Bench, flag: Path, point: str
) -> None:
    worker = killed(bench, flag, point)
    assert state(bench) is ArtefactState.ABSENT
    (left,) = bench.folders
    assert ".tmp-" in left.name
    if worker:
        _require_end(worker)
    assert bench.compile().changed
    assert state(bench) is ArtefactState.COMPILED
    assert len(bench.folders) == 1, "what the killed one left is swept"


@pytest.mark.parametrize("point", ["parity hangs", "before the move", "after the move"])
def test_a_kill_while_one_is_replaced_leaves_a_whole_one(made: Bench, flag: Path, point: str) -> None:
    bench = made
    killed(bench, flag, point)
    assert state(bench) is ArtefactState.COMPILED
    assert bench.anew().changed
    assert state(bench) is ArtefactState.COMPILED
    assert len(bench.folders) == 1


def test_a_kill_between_the_two_moves_loses_nothing(made: Bench, flag: Path) -> None:
    bench, inode = made, made.folder.stat().st_ino
    killed(bench, flag, "between two moves")
    assert state(bench) is ArtefactState.ABSENT
    assert len(bench.folders) == 2, "the former one and what was to replace it"
    again = bench.compile()
    assert not again.changed
    assert bench.folder.stat().st_ino == inode, "the former one is back, and what else was left is gone"
    assert state(bench) is ArtefactState.COMPILED


def test_what_was_moved_aside_without_a_manifest_is_no_model(made: Bench) -> None:
    folder = made.folder
    aside = folder.rename(folder.with_name(f"{folder.name}{FORMER}0123456789ab"))
    (aside / "manifest.json").unlink()
    assert made.compile().changed
    assert made.folders == [folder]


def test_a_move_that_fails_leaves_the_former_one_where_it_was(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before, real = made.folder, Path.replace

    def replace_(self: Path, target: Path) -> Path:
        if target == before and FORMER not in self.name:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(self, target)

    inode = before.stat().st_ino
    with monkeypatch.context() as patch, pytest.raises(StoreNotWritable, match="Read-only"):
        patch.setattr(Path, "replace", replace_)
        made.anew()
    assert (made.folder, made.folder.stat().st_ino) == (before, inode)
    assert state(made) is ArtefactState.COMPILED


def test_the_folders_of_a_model_whose_name_goes_on_are_left_alone(bench: Bench) -> None:
    bench.root.mkdir()
    digest = "0123456789ab"
    others = [bench.root / f"blip-small-v2-{digest}{end}" for end in ("", f"{TEMPORARY}1", f"{FORMER}1")]
    for folder in others:
        folder.mkdir()
    (bench.root / f"blip-small-{digest}{TEMPORARY}1").mkdir()
    assert state(bench) is ArtefactState.ABSENT, "a folder of another model is no damaged one of this"
    done = bench.compile()
    assert bench.folders == sorted([done.artefact.folder, *others])


def _require_end(pid: int) -> None:
    """The process that exports goes with the one that ordered it, however that went."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} is still there")


# -- two at once


@contextmanager
def at_work(bench: Bench, flag: Path, point: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has begun to compile, and ends with this."""
    with start(bench, flag, point) as process:
        try:
            deadline = time.monotonic() + 60
            while not flag.exists():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield process
        finally:
            process.kill()


def test_of_two_compiles_at_once_one_works_and_the_other_finds_it_done(bench: Bench, flag: Path) -> None:
    class LettingOn(Watcher):
        def waiting(self, model: str) -> None:
            super().waiting(model)
            flag.unlink()

    watcher = LettingOn()
    with at_work(bench, flag, "until nobody sees it") as first:
        done = bench.compile(observer=watcher)
        assert first.wait(60) == 0
    assert (done.changed, watcher.waited, watcher.phases) == (False, 1, [])
    assert done.artefact.folder == bench.folder
    assert state(bench) is ArtefactState.COMPILED


def test_one_that_waits_too_long_is_told_for_what_and_a_kill_lets_it_in(bench: Bench, flag: Path) -> None:
    with at_work(bench, flag, "export hangs") as first:
        watcher = Watcher()
        with pytest.raises(FetchBusy, match="another process has been compiling owner/small for"):
            bench.compile(replace(OPTIONS, lock_timeout=0.1), observer=watcher)
        assert watcher.waited == 1
        first.send_signal(signal.SIGKILL)
    assert bench.compile().changed


# -- whose weights


def test_of_a_snapshot_the_safetensors_count_alone(bench: Bench) -> None:
    (bench.weights / "pytorch_model.bin").write_bytes(b"p")
    assert set(bench.compile().artefact.manifest.source_files) == {"model.safetensors"}
    (bench.weights / "model.safetensors").rename(bench.weights / "part-1.safetensors")
    (bench.weights / "other.safetensors").write_bytes(b"o")
    (bench.weights / "model.safetensors.index.json").write_text('{"weight_map": {"a": "part-1.safetensors"}}')
    assert own_weights(bench.requested) == [bench.weights / "part-1.safetensors"]


@pytest.mark.usefixtures("easyocr")
def test_of_a_directory_that_all_languages_share_two_files_count(bench: Bench) -> None:
    for name in ("craft_mlt_25k", "korean_g2", "japanese_g2", "english_g2"):
        (bench.weights / f"{name}.pth").write_bytes(name.encode())
    wanted = replace(bench.requested, kind="easyocr", model="korean_g2")
    done = compile_model(wanted, bench.root, OPTIONS)
    assert set(done.artefact.manifest.source_files) == {"craft_mlt_25k.pth", "korean_g2.pth"}


def test_room_is_asked_for_by_the_weights_of_the_model(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("imgtool.compiling.compile.require_space", lambda _, needed: asked.append(needed))
    (bench.weights / "pytorch_model.bin").write_bytes(b"p" * 10_000)
    bench.compile()
    assert asked == [800], "1.6 bytes for each of 500"


@pytest.mark.parametrize(
    ("folder", "error", "code"),
    [
        ("source", ModelLoadFailed, ExitCode.MODEL_MISSING),
        ("into", StoreNotWritable, ExitCode.NOT_WRITABLE),
    ],
)
def test_what_cannot_be_read_is_no_fault_of_the_store(
    bench: Bench, folder: str, error: type[ImgtoolError], code: ExitCode
) -> None:
    with pytest.raises(error, match="Permission denied") as caught:
        bench.compile(disturb=f"denied {folder}")
    assert caught.value.exit_code is code
    named = bench.weights / "config.json" if folder == "source" else bench.root
    assert str(caught.value).startswith(f"{named}")
    assert "as root give it to this user: chown -R" in caught.value.remedy


def test_weights_that_cannot_be_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("imgtool.compiling.compile.measure", denied)
    with pytest.raises(WeightsUnreadable, match=r"model\.safetensors cannot be read: Permission denied") as caught:
        bench.compile()
    assert caught.value.exit_code is ExitCode.MODEL_MISSING
    assert bench.folders == []


def test_a_folder_of_weights_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, data in blip_files(seed=21).items():
        (tmp_path / name).write_bytes(data)

    def denied(paths: Iterable[Path]) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(list(paths)[-1]))

    monkeypatch.setattr("imgtool.weights.on_disk.blip.sampled_sha256", denied)
    with pytest.raises(WeightsUnreadable, match=r"model\.safetensors cannot be read: Permission denied") as caught:
        find_blip(EngineOptions(caption_model=str(tmp_path)))
    assert "as root give it to this user: chown -R" in caught.value.remedy
