"""What another process computes is left to it, for as long as it gets on."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from imgtool.engine.cache.claims import FILE, Claims
from imgtool.engine.cache.memory import MemoryTier
from imgtool.engine.cache.records import ImageFacts, StoredAnswer, Update
from tests.caches import answer
from tests.engine.scheduling.settings import Setting


def key(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class SharedTier(MemoryTier):
    """A store in which another process has claimed ``others``."""

    def __init__(self) -> None:
        super().__init__()
        self.others: set[str] = set()
        self.held: set[str] = set()

    def claim(self, keys: Sequence[str]) -> set[str]:
        self.held |= set(keys) - self.others
        return set(keys) & self.others

    def release(self, keys: Iterable[str]) -> None:
        self.held -= set(keys)

    def answered_by_the_other(self, content: bytes, fingerprint: str) -> None:
        found: StoredAnswer = answer("another's")
        image = ImageFacts(format="PNG", width=1, height=1, pages=1, file_size=1)
        self.merge([Update(key(content), image, {fingerprint: found}, {})])
        self.others.discard(key(content))


@pytest.fixture
def tier() -> SharedTier:
    return SharedTier()


@pytest.fixture
def it(tier: SharedTier) -> Iterator[Setting]:
    setting = Setting(tier=tier)
    yield setting
    setting.close()


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "never"
        time.sleep(0.01)


def test_what_another_computes_waits_while_others_are_computed(it: Setting, tier: SharedTier) -> None:
    tier.others.add(key(b"one"))
    one, two = it.ask(b"one"), it.ask(b"two")
    it.settle()
    assert it.asked() == ["two"]
    it.pool.answer()
    assert two.result().ok
    assert not one.done.is_set()
    tier.answered_by_the_other(b"one", it.plan.chosen["caption"].fingerprint)
    result = one.result()
    assert (result.caption, result.from_cache) == ("another's", True)
    assert it.asked() == ["two"]
    it.settle()
    assert tier.held == set()


def test_what_another_gives_up_is_computed_here(it: Setting, tier: SharedTier) -> None:
    tier.others.add(key(b"one"))
    one = it.ask(b"one")
    it.settle()
    assert it.asked() == []
    tier.others.clear()
    eventually(lambda: it.asked() == ["one"])
    assert tier.held == {key(b"one")}
    it.pool.answer()
    assert one.result().caption == "a caption"
    it.settle()
    assert tier.held == set()


def test_one_that_gets_nothing_done_is_waited_for_no_longer(tier: SharedTier) -> None:
    tier.others.add(key(b"one"))
    it = Setting(tier=tier)
    try:
        it.scheduler._patience = 0.3
        one = it.ask(b"one")
        eventually(lambda: it.asked() == ["one"])
        it.pool.answer()
        assert one.result().ok
        assert any("computed here, too" in text for text in it.heard.notices)
    finally:
        it.close()


def test_what_waits_for_another_can_be_cancelled_and_expires(it: Setting, tier: SharedTier) -> None:
    tier.others |= {key(b"one"), key(b"two")}
    one, two = it.ask(b"one"), it.ask(b"two", deadline=time.monotonic() + 0.3)
    it.settle()
    it.scheduler.cancel(one.request)
    it.settle()
    assert one.request.cancelled
    assert two.result().tasks.caption.error.code == "deadline_exceeded"  # type: ignore[union-attr]
    tier.others.clear()
    time.sleep(0.5)
    it.settle()
    assert it.asked() == []
    assert tier.held == set()


def test_an_answer_of_another_engine_is_no_answer(it: Setting, tier: SharedTier) -> None:
    tier.others.add(key(b"one"))
    one = it.ask(b"one")
    it.settle()
    tier.answered_by_the_other(b"one", "another fingerprint")
    eventually(lambda: it.asked() == ["one"])
    it.pool.answer()
    assert one.result().caption == "a caption"


HOLD = """
import sys
from pathlib import Path
from imgtool.engine.cache.claims import Claims
claims = Claims(Path(sys.argv[1]))
print(sorted(claims.take(sys.argv[2:])), flush=True)
sys.stdin.read()
"""


def holder(root: Path, *keys: str) -> tuple[subprocess.Popen[str], str]:
    """A process that claims ``keys``, and what it says that others have."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root), *keys], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_claims_hold_between_processes_and_end_with_them(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    first, said = holder(tmp_path, "a", "b")
    assert said == "[]"
    assert claims.take(["a", "b", "c"]) == {"a", "b"}
    second, said = holder(tmp_path, "b", "c", "d")
    assert said == "['b', 'c']"
    claims.release(["c"])
    first.kill()
    first.communicate()
    assert claims.take(["a", "b", "d"]) == {"d"}
    second.kill()
    second.communicate()
    claims.close()
    assert (tmp_path / FILE).stat().st_size == 0
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_where_nothing_can_be_locked_nothing_is_claimed(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "none")
    assert claims.take(["a"]) == set()
    claims.release(["a"])
    claims.close()
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")  # whose name anybody may have planted
    assert Claims(tmp_path).take(["a"]) == set()
    assert not (tmp_path / "elsewhere").exists()
