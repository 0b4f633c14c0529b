"""The worker's process: it ends when told, with its parent, and when it cannot say what it has to say."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO, cast

import pytest

from imgtool.ground.fresh import python_calling
from imgtool.runtime import protocol
from imgtool.runtime.protocol import Batch, BatchDone, FromWorker, Item, ItemFinished, Ready, Setup, Stop, ToWorker
from imgtool.runtime.start_process import run_worker, start
from imgtool.runtime.worker.batch_runner import BatchRunner
from imgtool.runtime.worker.main import _import_ahead, _imports_are_compiled, serve

SETUP = Setup(plans=(), max_pixels=1, batch_pixels=1, threads=1)


def process(stdout: int | BinaryIO = subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        python_calling(run_worker), stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE, start_new_session=True
    )


def ended(worker: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, stderr = worker.communicate(timeout=60)
    return worker.returncode, stderr.decode()


def test_it_says_that_it_is_ready_and_leaves_when_told() -> None:
    worker = process()
    stdin, stdout = cast(BinaryIO, worker.stdin), cast(BinaryIO, worker.stdout)
    assert isinstance(protocol.read_from_worker(stdout), Ready)
    protocol.write(stdin, SETUP)
    protocol.write(stdin, Stop())
    assert ended(worker) == (0, "")


@pytest.mark.parametrize("is_set_up", [False, True])
def test_it_ends_with_its_parent(is_set_up: bool) -> None:
    worker = process()
    stdin, stdout = cast(BinaryIO, worker.stdin), cast(BinaryIO, worker.stdout)
    protocol.read_from_worker(stdout)
    if is_set_up:
        protocol.write(stdin, SETUP)
    stdin.close()
    assert worker.wait(timeout=60) in (0, -9)  # once it is set up, with its whole group
    stdout.close()
    cast(BinaryIO, worker.stderr).close()


def test_one_whose_words_nobody_takes_ends_quietly() -> None:
    worker = process()
    cast(BinaryIO, worker.stdout).close()
    worker.stdout = None
    assert ended(worker) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_one_that_cannot_speak_says_why_on_stderr() -> None:
    with open("/dev/full", "wb") as full:
        code, stderr = ended(process(full))
    assert code == 1
    assert "No space left" in stderr


def test_batches_are_answered_in_order_until_it_is_told_to_stop() -> None:
    said: list[FromWorker] = []
    runner = BatchRunner(SETUP, said.append)
    inbox: queue.SimpleQueue[ToWorker] = queue.SimpleQueue()
    for number in range(3):
        batch = Batch(id=number, items=(Item(id=number, path=b"/nowhere", page=0, tasks=()),), isolated=False)
        runner.expect(batch)
        inbox.put(batch)
    inbox.put(Stop())
    serve(inbox, runner)
    assert [event.batch for event in said if isinstance(event, BatchDone)] == [0, 1, 2]
    assert [event.item for event in said if isinstance(event, ItemFinished)] == [0, 1, 2]


def test_numpy_is_imported_by_one_thread_before_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that import it at once can get half a module."""
    there = threading.Event()
    imported: list[tuple[str, bool]] = []

    def imports(name: str) -> None:
        imported.append((name, there.is_set()))
        raise ImportError(name)  # even where it fails, nobody waits for ever

    monkeypatch.setattr("imgtool.runtime.worker.main.__import__", imports, raising=False)
    _import_ahead("onnxruntime", there)
    assert imported == [("numpy", False), ("onnxruntime", True)]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="elsewhere torch computes with OpenBLAS")
@pytest.mark.parametrize("given", [None, "3"])
def test_numpy_starts_no_threads_of_its_own_unless_told(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    worker = start()
    # While the new program takes the old one's place, there is nothing to be read.
    until = time.monotonic() + 30
    while not (variables := Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0"))[0]:
        assert time.monotonic() < until
        time.sleep(0.01)
    cast(BinaryIO, worker.stdin).close()
    worker.stdin = None
    ended(worker)
    assert f"OPENBLAS_NUM_THREADS={given or 1}".encode() in variables


def test_a_worker_that_has_bytecode_to_write_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bytecode = tmp_path / "module.pyc"
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    monkeypatch.setattr("imgtool.runtime.worker.main.find_spec", lambda _: SimpleNamespace(cached=str(bytecode)))
    assert not _imports_are_compiled()
    bytecode.touch()
    assert _imports_are_compiled()
    bytecode.unlink()
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    assert _imports_are_compiled()
