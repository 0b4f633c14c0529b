"""What only real processes show: no sockets offline, one fetch for two that ask, nothing half after ``kill -9``."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgtool.warming.prune import plan_prune
from imgtool.weights.catalogue import find
from imgtool.weights.fetching.fetch import fetch
from imgtool.weights.store import ModelStore, StoredState
from tests.fakes.hub import FakeHub
from tests.model_files import BLIP, CRAFT, QUICK, blip_files

FETCH = """
import sys
from pathlib import Path
from imgtool.weights.catalogue import find
from imgtool.weights.fetching.fetch import FetchOptions, fetch
from imgtool.weights.store import ModelStore
for name in sys.argv[2:]:
    print(fetch(find(name), ModelStore.at(Path(sys.argv[1])), FetchOptions()).outcome.value, flush=True)
"""

OFFLINE = """
import sys
calls = []
sys.addaudithook(lambda name, arguments: calls.append(name) if name.startswith("socket.") else None)
import json
from pathlib import Path
from imgtool.errors import ImgtoolError
from imgtool.weights.catalogue import CATALOGUE, find
from imgtool.weights.fetching.fetch import FetchOptions, fetch
from imgtool.weights.store import ModelStore
store = ModelStore.at(Path(sys.argv[1]))
answers = {}
for name in ("blip-base", "craft", "blip-large", "korean_g2"):
    try:
        answers[name] = fetch(find(name), store, FetchOptions(offline=True)).outcome.value
    except ImgtoolError as error:
        answers[name] = type(error).__name__
states = [store.status(spec, full=True).state.value for spec in CATALOGUE.values()]
heavy = {"huggingface_hub", "torch", "numpy", "tenacity", "requests", "httpx"} & set(sys.modules)
print(json.dumps({"calls": calls, "answers": answers, "states": sorted(set(states)), "heavy": sorted(heavy)}))
"""

LIGHT = """
import sys
from pathlib import Path
from imgtool.weights.catalogue import CATALOGUE
from imgtool.warming.prune import plan_prune
from imgtool.weights.store import ModelStore
store = ModelStore.at(Path(sys.argv[1]))
print([store.status(spec).state.value for spec in CATALOGUE.values()], plan_prune(store).size_bytes)
print(sorted(sys.modules.keys() & set(sys.argv[2:])))
"""


def start(script: str, *arguments: str | Path, **environ: str) -> subprocess.Popen[str]:
    """``script`` in a fresh process, with this process's environment."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


@pytest.fixture
def installed(easyocr: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of EasyOCR for child processes too."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(easyocr), os.environ["PYTHONPATH"]]))


@pytest.mark.usefixtures("installed")
def test_offline_opens_no_socket(hub: FakeHub, store: ModelStore) -> None:
    for name in ("blip-base", "craft"):
        fetch(find(name), store, QUICK)
    before = len(hub.seen)
    seen = json.loads(finish(start(OFFLINE, store.root)))
    assert seen["calls"] == []
    assert seen["heavy"] == []
    assert seen["answers"] == {
        "blip-base": "present",
        "craft": "present",
        "blip-large": "NotInStore",
        "korean_g2": "NotInStore",
    }
    assert seen["states"] == ["complete", "no manifest"]
    assert len(hub.seen) == before


def test_looking_at_the_store_needs_no_library_for_fetching(store: ModelStore) -> None:
    fetch(find("blip-base"), store, QUICK)
    unwanted = ("huggingface_hub", "tenacity", "filelock", "requests", "httpx", "urllib.request", "numpy", "easyocr")
    statuses, imported = finish(start(LIGHT, store.root, *unwanted)).splitlines()
    assert "complete" in statuses
    assert imported == "[]"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("name", "weights"), [("blip-base", "GET /cdn"), ("craft", "GET /releases")])
def test_of_two_processes_one_fetches(hub: FakeHub, store: ModelStore, name: str, weights: str) -> None:
    hub.fail(weights, bytes_per_second=400_000)
    processes = [start(FETCH, store.root, name) for _ in range(2)]
    assert sorted(finish(process).strip() for process in processes) == ["fetched", "present"]
    assert len(hub.requests(weights)) == 1
    assert store.status(find(name), full=True).complete


def test_a_process_that_dies_with_the_lock_leaves_it_free(hub: FakeHub, store: ModelStore) -> None:
    slow = hub.fail("GET /cdn", bytes_per_second=20_000)
    process = start(FETCH, store.root, "blip-base")
    wait_for(lambda: bool(hub.requests("GET /cdn")))
    process.kill()
    process.communicate()
    hub.faults.remove(slow)
    assert finish(start(FETCH, store.root, "blip-base")).strip() == "fetched"


def killed_in_the_middle(hub: FakeHub, store: ModelStore) -> list[Path]:
    """What a first fetch leaves that is killed while the weights come."""
    slow = hub.fail("GET /cdn", bytes_per_second=20_000)
    process = start(FETCH, store.root, "blip-base")
    blobs = store.places.hub / "models--Salesforce--blip-image-captioning-base" / "blobs"
    wait_for(lambda: bool(hub.requests("GET /cdn") and list(blobs.glob("*.incomplete"))))
    process.kill()
    process.communicate()
    hub.faults.remove(slow)
    return list(blobs.glob("*.incomplete"))


def test_the_rest_of_a_killed_first_fetch_is_pruned(hub: FakeHub, store: ModelStore) -> None:
    (left,) = killed_in_the_middle(hub, store)
    plan = plan_prune(store)
    assert [removal.paths for removal in plan.removals] == [(left,)]
    plan.execute(store)
    assert not left.exists()


def test_the_rest_of_a_killed_fetch_goes_with_the_next(hub: FakeHub, store: ModelStore) -> None:
    (left,) = killed_in_the_middle(hub, store)
    assert finish(start(FETCH, store.root, "blip-base")).strip() == "fetched"
    assert not list(left.parent.glob("*.incomplete"))
    assert plan_prune(store).removals == ()


def test_what_another_process_is_fetching_stays(hub: FakeHub, store: ModelStore) -> None:
    hub.fail("GET /cdn", bytes_per_second=100_000)
    process = start(FETCH, store.root, "blip-base")
    wait_for(lambda: bool(list(store.places.hub.glob("*/blobs/*.incomplete"))))
    assert plan_prune(store).removals == ()
    assert finish(process).strip() == "fetched"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_at_random_points_leaves_nothing_half(hub: FakeHub, store: ModelStore, kills: int) -> None:
    hub.add(BLIP, blip_files(size=400_000))
    slow = [hub.fail("GET /cdn", bytes_per_second=900_000), hub.fail("GET /releases", bytes_per_second=600_000)]
    chance = random.Random(20)
    killed = sum(killed_at_random(hub, store, chance) for _ in range(kills))
    assert killed >= kills // 2
    for fault in slow:
        hub.faults.remove(fault)
    finish(start(FETCH, store.root, "craft", "blip-base"))
    for name in ("craft", "blip-base"):
        assert store.status(find(name), full=True).complete
    assert (store.places.easyocr / "craft_mlt_25k.pth").read_bytes() == CRAFT
    assert [path.name for path in store.places.easyocr.glob("*.pth")] == ["craft_mlt_25k.pth"]


def killed_at_random(hub: FakeHub, store: ModelStore, chance: random.Random) -> bool:
    """Start a fetch, kill it somewhere between its first request and its end; whatever says complete must be so."""
    before = len(hub.seen)
    process = start(FETCH, store.root, "craft", "blip-base")
    wait_for(lambda: len(hub.seen) > before or process.poll() is not None)
    try:
        process.wait(timeout=chance.uniform(0.0, 1.0))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.communicate()
    for name in ("craft", "blip-base"):
        status = store.status(find(name))
        assert status.state in (StoredState.COMPLETE, StoredState.NO_MANIFEST)
        if status.complete:
            assert store.status(find(name), full=True).complete
            forget(store, name)
    return process.returncode == -signal.SIGKILL


def forget(store: ModelStore, name: str) -> None:
    """Take a model that is complete away again, so that the next process has something to do."""
    manifest = store.manifest(name)
    assert manifest is not None
    for path in manifest.paths(store.places).values():
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    (store.folder_of(name) / "manifest.json").unlink()


def wait_for(condition: object, seconds: float = 20.0) -> None:
    """Return as soon as ``condition()`` holds."""
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "this did not happen in time"
        time.sleep(0.005)
