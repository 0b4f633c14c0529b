"""What an actor does on its node, without Ray: a real pool with planted analyzers, asked in bytes."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from imgtool import __version__
from imgtool.cluster.messages import (
    Command,
    Done,
    Hello,
    Welcome,
    Work,
    decode_command_ended,
    decode_done,
    decode_news,
    decode_welcome,
    encode,
    options_for_nodes,
    options_of,
)
from imgtool.cluster.node import NodeServer
from imgtool.options import DEFAULT_LANGUAGES, EngineOptions
from imgtool.runtime.protocol import Answered, Item, ModelLoaded
from imgtool.types import Task
from tests import pictures

OPTIONS = EngineOptions(tasks=(Task.CAPTION,), caption_engine="tests.planted:Hazard", workers=1)


def hello(node: NodeServer, options: EngineOptions = OPTIONS) -> Welcome:
    return decode_welcome(node.hello(encode(Hello(version=__version__, options=options_for_nodes(options)))))


def item(number: int, file: Path, **changes: object) -> Item:
    content = file.read_bytes()
    found = Item(
        id=number,
        path=os.fsencode(file),
        page=0,
        tasks=("caption",),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return msgspec.structs.replace(found, **changes)


def run(node: NodeServer, *items: Item) -> Done:
    return decode_done(node.run(encode(Work(items))))


def answered(done: Done) -> list[int]:
    return [event.item for event in done.events if isinstance(event, Answered)]


@pytest.fixture
def node() -> Iterator[NodeServer]:
    server = NodeServer()
    yield server
    server.close()


def test_batches_are_answered_side_by_side_and_files_are_checked_by_hash(node: NodeServer, tmp_path: Path) -> None:
    assert set(hello(node).fingerprints) == {"caption"}
    photos = sorted(pictures.folder(tmp_path / "photos", pictures.greys(5)).iterdir())
    other: list[Done] = []
    thread = threading.Thread(
        target=lambda: other.append(run(node, item(10, photos[3]), item(11, photos[4]))), daemon=True
    )
    thread.start()
    done = run(
        node,
        item(0, photos[0]),
        item(1, photos[1], sha256="0" * 64),  # another file of the same size and name
        item(2, photos[2], path=b"/not/here", content=photos[2].read_bytes()),
        item(3, photos[3], path=b"/not/here"),
        item(4, photos[4], mtime_ns=1),  # the clock of another machine
    )
    thread.join(timeout=60)
    assert answered(done) == [0, 2, 4]
    assert done.unseen == (1, 3)
    assert answered(other[0]) == [10, 11]
    assert done.statistics.started == 1
    again = run(node, item(5, photos[2], path=b"/not/here"), item(6, photos[2], path=b"/not/here", content=b"torn"))
    assert answered(again) == [5], "what was sent once is kept for the other pages of a document"
    assert again.unseen == (6,)


def test_a_node_that_cannot_answer_says_why() -> None:
    server = NodeServer()
    missing = hello(server, msgspec.structs.replace(OPTIONS, tasks=(Task.LABELS,)))
    assert missing.problem is not None
    assert missing.problem.code == "ModelMissing"
    other = decode_welcome(server.hello(msgspec.msgpack.encode({"version": "9.9", "news": 1})))
    assert (other.version, other.problem and other.problem.code) == (__version__, "version")


def test_workers_that_cannot_start_are_a_problem_of_the_node(
    node: NodeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hello(node)
    monkeypatch.setattr("sys.executable", "/bin/false")
    done = run(node, item(0, pictures.flat(tmp_path / "a.png")))
    assert done.problem is not None
    assert "worker process" in done.problem.message


def test_a_node_that_warms_up_says_so_before_it_has_work(node: NodeServer) -> None:
    wanted = Hello(version=__version__, options=options_for_nodes(OPTIONS), warm_up=True)
    assert decode_welcome(node.hello(encode(wanted))).workers == 1
    deadline = time.monotonic() + 60
    while not (news := node.ping()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (loaded,) = decode_news(news)
    assert isinstance(loaded, ModelLoaded)
    assert node.ping() == b"", "it is said once"


def test_who_waits_for_a_node_that_is_closed_is_told(
    node: NodeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_SECONDS", "60")
    hello(node, msgspec.structs.replace(OPTIONS, caption_engine="tests.planted:Numbered"))
    photo = item(0, pictures.flat(tmp_path / "a.png"))
    found: list[Done] = []
    thread = threading.Thread(target=lambda: found.append(run(node, photo)), daemon=True)
    thread.start()
    while not node._jobs:
        time.sleep(0.02)
    node.close()
    thread.join(timeout=20)
    assert found[0].problem is not None


def test_a_command_runs_as_it_would_there(node: NodeServer) -> None:
    ended = decode_command_ended(node.command(encode(Command(("--version",)))))
    assert (ended.code, ended.err) == (0, "")
    assert __version__ in ended.out


def test_options_reach_a_node_as_they_were_asked_for() -> None:
    asked = EngineOptions(
        languages=("ko",),
        labels_model=Path("/models/m.onnx"),
        ocr={"width_ths": 0.5},
        cache_dir=Path("/here"),
        shared_cache="redis://:secret@host/0",
    )
    sent = Hello(version=__version__, options=options_for_nodes(asked), cache_dir="/here")
    assert b"secret" not in encode(sent)
    found = options_of(msgspec.msgpack.decode(encode(sent), type=Hello), None)
    assert found == msgspec.structs.replace(asked, shared_cache=None)
    assert options_of(sent, "/its/own").cache_dir == Path("/its/own")
    plain = options_of(Hello(version=__version__, options=options_for_nodes(EngineOptions())), None)
    assert plain.languages is DEFAULT_LANGUAGES
