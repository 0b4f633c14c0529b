"""Messages between the parent and a worker: whole, in order, and nothing but data."""

from __future__ import annotations

import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.runtime import protocol
from imgtool.runtime.protocol import Answered, Batch, Item, Ready, Stop, WarmUp


def written(*messages: protocol.ToWorker | protocol.FromWorker) -> bytes:
    stream = io.BytesIO()
    for message in messages:
        protocol.write(stream, message)
    return stream.getvalue()


TASKS = st.lists(st.sampled_from(["caption", "text"]), unique=True)
NUMBERS = st.integers(0, 2**62)


@given(st.binary(max_size=300), NUMBERS, TASKS, st.none() | st.binary(max_size=100))
def test_any_item_arrives_as_it_was_sent(path: bytes, size: int, tasks: list[str], content: bytes | None) -> None:
    known = {"text": b'[{"text":"a"}]'}
    item = Item(id=1, path=path, page=2, size=size, mtime_ns=size, tasks=tuple(tasks), known=known, content=content)
    batch = Batch(id=9, items=(item,), isolated=True)
    stream = io.BytesIO(written(WarmUp(), batch, Stop()))
    assert isinstance(protocol.read_to_worker(stream), WarmUp)
    assert protocol.read_to_worker(stream) == batch
    assert isinstance(protocol.read_to_worker(stream), Stop)
    assert protocol.read_to_worker(stream) is None


def test_a_message_that_was_cut_off_is_the_end_and_not_a_message() -> None:
    answered = Answered(item=1, task="caption", analyzer="a", value=b'"x"', seconds=0.5)
    whole = written(Ready(pid=1), answered)
    for length in range(len(whole)):
        stream = io.BytesIO(whole[:length])
        messages = []
        while (message := protocol.read_from_worker(stream)) is not None:
            messages.append(message)
        assert messages in ([], [Ready(pid=1)])


NO_MESSAGES = [
    b"",
    b"\x80",
    b"\x80\x04pickle",
    msgspec.msgpack.encode({"type": "stop"}),
    msgspec.msgpack.encode({"type": "ready", "pid": "one"}),
]


@pytest.mark.parametrize("body", NO_MESSAGES)
def test_what_is_no_message_of_a_worker_raises(body: bytes) -> None:
    stream = io.BytesIO(len(body).to_bytes(4, "big") + body)
    with pytest.raises(msgspec.MsgspecError):
        protocol.read_from_worker(stream)
