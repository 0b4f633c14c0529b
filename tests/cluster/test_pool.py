"""The supervision of nodes, with a clock that the test turns and nodes that answer when it says so."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from imgtool import __version__
from imgtool.cluster.messages import Alive, Connect, ConnectFailed, Ended, Listed, Refused, encode
from imgtool.cluster.pool import MOST_SENT, ClusterLimits, ClusterPool
from imgtool.distribution import NAME
from imgtool.errors import (
    ClusterLost,
    ClusterMismatch,
    ClusterUnavailable,
    ExitCode,
    ImgtoolError,
    MissingExtra,
    NoUsableNode,
)
from imgtool.runtime.interface import NodeNotice
from imgtool.runtime.protocol import Failed, Item, ItemFinished, ModelLoaded
from imgtool.types import Problem
from tests.fakes.clock import FakeClock
from tests.fakes.cluster_link import FINGERPRINTS, FakeLink, FakeLinks


class Bench:
    """A pool of nodes, its clock and the way to them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.links = FakeLinks()
        limits = ClusterLimits(address="head:6379", node_timeout=10, timeout=5, load_timeout=60, tasks=1)
        self.pool = ClusterPool(
            self.links,
            lambda warm_up: Connect(address="head:6379"),
            lambda: dict(FINGERPRINTS),
            lambda call: call(),
            limits,
            self.clock,
        )
        self.finished: Counter[int] = Counter()
        self.failed: dict[int, Problem] = {}
        self.notices: list[str] = []

    @property
    def link(self) -> FakeLink:
        return self.links.made[-1]

    def begin(self, count: int, *nodes: int, size: int = 1000, folder: str = "/photos") -> None:
        """Submit so many images, and have nodes join."""
        self.pool.submit([item(number, size + number, folder) for number in range(count)])
        self.link.connect(*nodes)
        self.look()

    def look(self) -> None:
        """Take the events."""
        for event in self.pool.events():
            if isinstance(event, ItemFinished):
                self.finished[event.item] += 1
            elif isinstance(event, Failed):
                self.failed[event.item] = event.problem
            elif isinstance(event, NodeNotice):
                self.notices.append(event.text)

    def answer_all(self, *nodes: int, seconds: float = 0.0) -> None:
        """Have nodes answer until nothing is left."""
        answered: set[int] = set()
        while True:
            waiting = [b for node in nodes for b in self.link.batches(node) if b.batch not in answered]
            if not waiting:
                return
            for batch in waiting:
                self.clock.advance(seconds)
                answered.add(batch.batch)
                self.link.answer(batch)
            self.link.alive(*nodes)
            self.look()


def item(number: int, size: int = 1000, folder: str = "/photos") -> Item:
    path = f"{folder}/{number}.png".encode()
    return Item(id=number, path=path, page=0, tasks=("caption",), size=size, sha256=f"{number:064}")


def test_every_image_is_answered_once_by_whichever_node() -> None:
    bench = Bench()
    bench.begin(40, 1, 2)
    bench.answer_all(1, 2, seconds=0.1)
    assert bench.finished == Counter(dict.fromkeys(range(40), 1))
    nodes = bench.pool.statistics.nodes
    assert nodes["n1"].images + nodes["n2"].images == 40
    assert min(nodes["n1"].images, nodes["n2"].images) > 5


def test_the_heaviest_images_go_first() -> None:
    bench = Bench()
    bench.begin(10, 1)
    (first, second) = bench.link.batches(1)
    assert [each.id for each in (*first.items, *second.items)] == [0, 9, 1, 8], "but the oldest begins a batch"


def test_who_waits_for_an_answer_goes_before_a_job() -> None:
    bench = Bench()
    bench.begin(40, 1)
    assert len(bench.link.batches(1)) == 2
    asked = [msgspec.structs.replace(item(100 + number, 10), priority=1) for number in range(5)]
    bench.pool.submit(asked[:1])
    assert [[each.id for each in batch.items] for batch in bench.link.batches(1)[2:]] == [[100]], "at once"
    bench.pool.submit(asked[1:])
    assert len(bench.link.batches(1)) == 3, "one batch more, and no other"
    bench.link.answer(bench.link.batches(1)[2])
    bench.link.answer(bench.link.batches(1)[0])
    bench.link.answer(bench.link.batches(1)[1])
    given = [each.id for batch in bench.link.batches(1)[3:] for each in batch.items]
    assert given[:4] == [101, 102, 103, 104]
    bench.answer_all(1)
    assert sum(bench.finished.values()) == 45


def test_a_batch_is_what_a_node_answers_in_a_second() -> None:
    bench = Bench()
    bench.begin(300, 1, 2)
    fast, slow = bench.link.batches(1)[0], bench.link.batches(2)[0]
    bench.clock.advance(0.1)  # 2 images in 0.1 s
    bench.link.answer(fast)
    bench.clock.advance(0.9)
    bench.link.answer(slow)
    assert len(bench.link.batches(1)[-1].items) == 20
    assert len(bench.link.batches(2)[-1].items) == 2


def test_all_workers_of_a_node_have_work_however_slow_it_is() -> None:
    bench = Bench()
    bench.begin(200)
    bench.link.connect()
    bench.link.join(1, workers=8)
    bench.look()
    for number in range(3):
        bench.clock.advance(9)
        bench.link.alive(1)
        bench.link.answer(bench.link.batches(1)[number])
        assert len(bench.link.batches(1)[number + 1].items) >= 8, "what it computes now"
    assert bench.finished == Counter()  # nobody has looked
    bench.look()
    assert sum(bench.finished.values()) == 48


def test_what_a_batch_costs_besides_its_computation_is_counted() -> None:
    bench = Bench()
    bench.begin(40, 1)
    for seconds, extra in ((1.0, 0.004), (0.5, 0.008)):
        batch = bench.link.batches(1)[0 if seconds == 1.0 else 2]
        bench.clock.advance(seconds + extra)
        bench.link.answer(batch, seconds=seconds)
    assert bench.pool.statistics.nodes["n1"].overhead_seconds == pytest.approx(0.006)


def test_models_that_a_node_loads_before_it_has_work_are_told() -> None:
    bench = Bench()
    bench.pool.warm_up()
    bench.link.connect(1)
    loaded = ModelLoaded(
        task="caption",
        analyzer="hazard",
        import_seconds=0,
        load_seconds=1,
        warm_up_seconds=0,
        rss_before=0,
        rss_after=0,
        anon_before=0,
        anon_after=0,
    )
    bench.link.say(Alive(1, encode((loaded,))))
    assert bench.pool.events() == [loaded]


def test_a_dead_node_costs_what_it_had_in_hand() -> None:
    bench = Bench()
    bench.begin(20, 1, 2)
    had = [each.id for batch in bench.link.batches(1) for each in batch.items]
    bench.link.lose(1)
    bench.look()
    assert bench.notices == [f"node n1 is lost (planted): {len(had)} images given to others, 1 node left"]
    bench.answer_all(2)
    assert bench.finished == Counter(dict.fromkeys(range(20), 1))
    assert bench.pool.statistics.nodes["n1"].state == "lost"
    assert bench.pool.statistics.nodes["n1"].resubmitted == len(had)
    given = Counter(each.id for node in (1, 2) for batch in bench.link.batches(node) for each in batch.items)
    assert {number for number, times in given.items() if times > 1} == set(had)


def test_a_silent_node_is_given_up_and_its_late_answers_are_not_taken() -> None:
    bench = Bench()
    bench.begin(20, 1, 2)
    late = bench.link.batches(1)[0]
    bench.clock.advance(9.9)
    bench.link.alive(2)
    bench.look()
    assert bench.notices == []
    assert bench.pool.seconds_to_deadline() == pytest.approx(0.1)
    bench.clock.advance(0.2)
    bench.look()
    assert "node n1 is lost (silent for 10 s)" in bench.notices[0]
    assert [(leave.node, leave.again) for leave in bench.link.left] == [(1, True)]
    bench.answer_all(2)
    bench.link.answer(late)
    bench.look()
    assert bench.finished == Counter(dict.fromkeys(range(20), 1))


def test_a_node_that_lives_and_does_not_answer_is_given_up() -> None:
    bench = Bench()
    bench.begin(4, 1, 2)
    for _ in range(100):  # the limit of a load, and of each image in hand: below 100 s
        bench.clock.advance(1)
        bench.link.alive(1, 2)
        bench.look()
    assert "longer than its images may take" in bench.notices[0]


def test_a_node_that_joins_takes_work() -> None:
    bench = Bench()
    bench.begin(30, 1)
    bench.link.join(2)
    assert bench.link.batches(2)
    bench.answer_all(1, 2)
    assert bench.pool.statistics.nodes["n2"].images > 0


def test_images_of_lost_nodes_go_alone_and_then_fail() -> None:
    bench = Bench()
    bench.begin(1, 1)
    for node in range(1, 6):
        (batch,) = bench.link.batches(node)
        assert len(batch.items) == 1
        bench.link.lose(node)
        bench.link.join(node + 1)
        bench.look()
    assert bench.failed[0].code == "node_lost"
    assert bench.finished == {0: 1}
    assert bench.link.batches(6) == []


def test_a_folder_that_is_not_shared_is_sent() -> None:
    bench = Bench()
    bench.begin(8, 1)
    first, second = bench.link.batches(1)
    assert first.by_content == ()
    bench.link.answer(first, unseen=[each.id for each in first.items])
    bench.link.answer(second, unseen=[each.id for each in second.items])
    later = bench.link.batches(1)[2:]
    assert all(set(batch.by_content) == {each.id for each in batch.items} for batch in later)
    bench.answer_all(1)
    assert bench.failed == {}
    assert bench.finished == Counter(dict.fromkeys(range(8), 1))


def test_a_file_that_was_changed_and_one_that_is_too_large_fail_alone() -> None:
    bench = Bench()
    bench.begin(2, 1, size=MOST_SENT)
    (batch, other) = bench.link.batches(1)
    bench.link.answer(other, unseen=[1])  # of more bytes than are sent
    bench.link.answer(batch, unseen=[0])
    again = bench.link.batches(1)[-1]
    bench.link.answer(again, unseen=[0])  # its bytes have another hash
    bench.look()
    assert {key: problem.code for key, problem in bench.failed.items()} == {
        1: "too_large_to_send",
        0: "changed_while_reading",
    }


@pytest.mark.parametrize(
    ("more", "said", "remedy"),
    [
        ({"version": "0.0.1"}, "it has imgtool 0.0.1", f"pip install '{NAME}[cluster]=={__version__}'"),
        ({"fingerprints": {"caption": "describe-2"}}, "it would answer caption with describe-2", "imgtool warm-cache"),
        (
            {"problem": Problem("ModelMissing", "no engine", "imgtool warm-cache caption")},
            "no engine",
            "warm-cache cap",
        ),
    ],
)
def test_a_node_that_would_answer_otherwise_is_refused_by_name(more: dict[str, object], said: str, remedy: str) -> None:
    bench = Bench()
    bench.begin(4)
    bench.link.join(1, name="10.0.0.7", **more)  # type: ignore[arg-type]
    bench.look()
    assert bench.notices[0].startswith(f"node 10.0.0.7 is left out: {said}")
    assert remedy in bench.notices[0]
    assert [(leave.node, leave.again) for leave in bench.link.left] == [(1, False)]
    assert bench.link.batches(1) == []
    bench.link.say(Listed(nodes=1, pending=0))
    with pytest.raises(NoUsableNode, match=r"10\.0\.0\.7") as caught:
        bench.look()
    assert caught.value.exit_code is ExitCode.MODEL_MISSING
    assert caught.value.remedy


def test_a_node_with_a_full_disk_is_refused_and_the_others_go_on() -> None:
    bench = Bench()
    bench.begin(4, 2)
    bench.link.say(Refused(name="10.0.0.8", reason="its disk is full", remedy="free space"))
    bench.look()
    assert bench.notices == ["node 10.0.0.8 is left out: its disk is full (free space)"]
    bench.answer_all(2)
    assert len(bench.finished) == 4


@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        ("missing", MissingExtra, ExitCode.USAGE),
        ("mismatch", ClusterMismatch, ExitCode.USAGE),
        ("unavailable", ClusterUnavailable, ExitCode.USAGE),
    ],
)
def test_a_cluster_that_cannot_be_joined(kind: str, error: type[ImgtoolError], code: ExitCode) -> None:
    bench = Bench()
    bench.pool.submit([item(0)])
    bench.link.say(ConnectFailed(kind=kind, message="why", remedy="what to do"))
    with pytest.raises(error) as caught:
        bench.look()
    assert (caught.value.exit_code, caught.value.remedy) == (code, "what to do")
    assert bench.link.killed
    bench.pool.submit([item(1)])
    assert len(bench.links.made) == 2, "what comes later tries again"


def test_a_connection_that_says_nothing_is_given_up() -> None:
    bench = Bench()
    bench.pool.submit([item(0)])
    bench.clock.advance(45)
    with pytest.raises(ClusterUnavailable, match="head:6379"):
        bench.look()


def test_a_wrong_token_is_told_from_what_ray_writes() -> None:
    bench = Bench()
    bench.pool.submit([item(0)])
    bench.link.words = "RPC error: InvalidAuthToken: Authentication token is missing or incorrect"
    bench.clock.advance(45)
    with pytest.raises(ClusterUnavailable, match="does not accept this machine's token") as caught:
        bench.look()
    assert "RAY_AUTH_TOKEN" in caught.value.remedy


def test_a_wrong_token_is_told_where_ray_says_that_it_cannot_connect() -> None:
    bench = Bench()
    bench.pool.submit([item(0)])
    bench.link.words = "Unauthenticated: RPC error: InvalidAuthToken"
    bench.link.say(ConnectFailed(kind="unavailable", message="Failed to connect", remedy="see `ray status`"))
    with pytest.raises(ClusterUnavailable, match="token"):
        bench.look()


def test_a_head_that_ends_loses_the_cluster() -> None:
    bench = Bench()
    bench.begin(4, 1)
    bench.link.say(Ended("the connection process exited with code 1"))
    with pytest.raises(ClusterLost) as caught:
        bench.look()
    assert caught.value.exit_code is ExitCode.SOME_FAILED
    assert "run the same command" in caught.value.remedy


def test_a_cluster_without_nodes_is_waited_for_and_then_given_up() -> None:
    bench = Bench()
    bench.begin(4, 1)
    bench.link.lose(1)
    bench.look()
    bench.clock.advance(59)
    bench.look()
    bench.clock.advance(2)
    with pytest.raises(ClusterUnavailable, match="no node with a free CPU"):
        bench.look()


def test_nothing_is_connected_before_there_is_work() -> None:
    bench = Bench()
    assert bench.pool.seconds_to_deadline() is None
    assert bench.pool.events() == []
    assert bench.links.made == []
