"""Background jobs: progress, results while they run, cancelling, priorities, and a service that is killed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgtool.errors import ConfigProblem
from imgtool.service.jobs.journal import Job, JobState, Journal
from imgtool.service.jobs.runner import Progress
from tests import pictures, planted
from tests.fakes.clock import FakeClock
from tests.service.running import PLANTED, Running, png, problem, running
from tests.service.test_events import read

NUMBERED = ("-t", "caption", "--caption-engine", "tests.planted:Numbered", "--workers", "1")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a service may read, beside one that it may not."""
    folder = tmp_path_factory.mktemp("jobs")
    inside = pictures.folder(folder / "root" / "photos", [(n, 5, 5) for n in range(6)]).parent
    pictures.flat(inside / "photos" / "red.png", planted.RED)
    (inside / "photos" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n garbage")
    (inside / "photos" / "notes.txt").write_text("no image")
    pages = [Image.new("RGB", (10, 10), (n, 0, 9)) for n in range(3)]
    pages[0].save(inside / "scan.tif", save_all=True, append_images=pages[1:])
    secret = pictures.folder(folder / "secret", [(1, 1, 1)])
    (inside / "way-out").symlink_to(secret)
    (inside / "way-out.png").symlink_to(secret / "000.png")
    (inside / "way-in").symlink_to(inside / "photos")
    return inside


@pytest.fixture(scope="module")
def service(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(*PLANTED, "--root", root, "--cache-dir", tmp_path_factory.mktemp("cache")) as found:
        yield found


def ended(service: Running, address: str, seconds: float = 60) -> dict[str, Any]:
    """The job at ``address`` once it has ended."""
    deadline = time.monotonic() + seconds
    while True:
        job: dict[str, Any] = service.get(address).json()
        if job["state"] not in ("queued", "running"):
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.05)


def results(service: Running, address: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.get(f"{address}/results").text.splitlines()]


def require_complete(service: Running, address: str, count: int) -> None:
    """Wait for a job over ``count`` numbered images, each of which has its own answer once."""
    job = ended(service, address)
    assert (job["state"], job["done"], job["total"], job["failed"]) == ("done", count, count, 0)
    found = results(service, address)
    assert Counter(each["path"] for each in found) == Counter(f"{n:03}.png" for n in range(count))
    assert all(each["tasks"]["caption"]["value"] == f"number {int(each['path'][:3])}" for each in found)


def times_computed(log: Path) -> list[int]:
    """How often each image was captioned, by the log of the planted engine."""
    return [*Counter(line for line in log.read_text().splitlines() if line.startswith("caption")).values()]


def test_a_folder_is_answered_and_every_failure_is_a_result(service: Running, root: Path) -> None:
    made = service.post("/v1/jobs", json={"paths": ["photos", "scan.tif", "missing.png"], "tasks": ["caption"]})
    assert made.status_code == 202
    address = made.headers["location"]
    assert address == f"/v1/jobs/{made.json()['id']}"
    job = ended(service, address)
    assert (job["state"], job["done"], job["total"], job["failed"]) == ("done", 10, 10, 3)
    found = {(each["path"], each["page"]): each for each in results(service, address)}
    assert len(found) == 12
    assert found["photos/003.png", 0]["tasks"]["caption"]["value"] == "colour (3, 5, 5)"
    assert found["scan.tif", 2]["tasks"]["caption"]["value"] == "colour (2, 0, 9)"
    assert found["photos/broken.png", 0]["error"]["code"] == "damaged"
    assert found["photos/red.png", 0]["tasks"]["caption"]["error"]["code"] == "worker_crashed"
    assert found["missing.png", 0]["error"]["code"] == "not_found"
    assert str(root) not in service.get(f"{address}/results").text
    assert job["id"] in [each["id"] for each in service.get("/v1/jobs").json()["jobs"]]


def test_uploads_are_a_job_too_and_are_removed_after_it(service: Running) -> None:
    files = [("file", (f"{n}.png", png((n, 6, 6)))) for n in range(5)]
    made = service.post("/v1/jobs", files=files, data={"tasks": "caption"})
    job = ended(service, made.headers["location"])
    assert (job["state"], job["done"], job["failed"], job["tasks"]) == ("done", 5, 0, ["caption"])
    assert {each["path"] for each in results(service, made.headers["location"])} == {f"{n}.png" for n in range(5)}


def test_results_are_taken_with_a_cursor(service: Running) -> None:
    made = service.post("/v1/jobs", json={"paths": ["photos"], "tasks": ["text"]})
    address = made.headers["location"]
    ended(service, address)
    seen, link = [], f"{address}/results?limit=3"
    while link:
        page = service.get(link)
        assert page.headers["content-type"].startswith("application/jsonl")
        seen += [json.loads(line)["path"] for line in page.text.splitlines()]
        link = page.headers.get("link", "").partition(">")[0].removeprefix("<")
    assert len(seen) == len(set(seen)) == 8
    problem(service.get(f"{address}/results?after=x"), 400, "bad_parameter")
    problem(service.get(f"{address}/results?aftr=1"), 400, "bad_parameter")


@pytest.mark.parametrize(
    "path",
    ["../secret", "photos/../../secret", "/etc", "/etc/hostname", "way-out", "way-out/000.png", "way-out.png", ".."],
)
def test_paths_that_lead_out_of_the_root_are_refused(service: Running, path: str) -> None:
    assert problem(service.post("/v1/jobs", json={"paths": [path]}), 400, "outside_root")["remedy"]


def test_links_inside_a_folder_are_followed_inside_the_root_alone(service: Running, root: Path) -> None:
    made = service.post("/v1/jobs", json={"paths": [str(root)], "tasks": ["text"]})
    ended(service, made.headers["location"])
    found = {each["path"]: each for each in results(service, made.headers["location"])}
    outside = {path for path, each in found.items() if each["error"] and each["error"]["code"] == "outside_root"}
    assert outside == {"way-out/000.png"}  # a file comes once, whatever leads to it
    assert found["photos/000.png"]["status"] == "ok"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"paths": []}, 400, "bad_parameter"),
        ({"paths": [""]}, 400, "bad_parameter"),
        ({"paths": ["a\0b"]}, 400, "bad_parameter"),
        ({"paths": "photos"}, 400, "bad_parameter"),
        ({"path": ["photos"]}, 400, "bad_parameter"),
        ({"paths": ["photos"], "tasks": ["captoin"]}, 400, "bad_parameter"),
        ({"paths": ["photos"], "tasks": []}, 400, "bad_parameter"),
        ([], 400, "bad_parameter"),
    ],
)
def test_bodies_that_are_no_job(service: Running, body: object, status: int, code: str) -> None:
    assert problem(service.post("/v1/jobs", json=body), status, code)["remedy"]


def test_other_mistakes_with_jobs(service: Running, tmp_path: Path) -> None:
    problem(
        service.post("/v1/jobs", content=b"[" * 100_000, headers={"content-type": "application/json"}),
        400,
        "bad_parameter",
    )
    problem(
        service.post("/v1/jobs", content=b"x", headers={"content-type": "text/plain"}), 415, "unsupported_media_type"
    )
    for address in ("/v1/jobs/none", "/v1/jobs/none/results", "/v1/jobs/none/events"):
        problem(service.get(address), 404, "not_found")
    problem(service.delete("/v1/jobs/none"), 404, "not_found")
    with running(*PLANTED, "--cache-dir", tmp_path) as without_root:
        found = without_root.post("/v1/jobs", json={"paths": ["photos"]})
        assert "--root" in problem(found, 403, "forbidden")["remedy"]


def test_an_idempotency_key_makes_one_job(service: Running) -> None:
    def make(tasks: str, key: str = "k-1") -> Any:
        return service.post(
            "/v1/jobs", json={"paths": ["scan.tif"], "tasks": [tasks]}, headers={"idempotency-key": key}
        )

    first = make("caption")
    assert make("caption").json()["id"] == first.json()["id"]
    problem(make("text"), 409, "conflict")
    assert make("text", "k-2").json()["id"] != first.json()["id"]
    problem(make("text", "k 3"), 400, "bad_request")


def test_its_events_say_how_far_it_is(service: Running) -> None:
    made = service.post("/v1/jobs", json={"paths": ["photos"], "tasks": ["caption", "text"]})
    address = f"{made.headers['location']}/events"
    events = read(service.get(address).text)
    assert (events[0][1], events[-1][1]) == ("start", "complete")
    assert events[-1][2]["state"] == "done"
    assert events[-1][2]["counts"] == {"done": 8, "total": 8, "failed": 1}
    numbers = [number for number, *_ in events]
    assert numbers == sorted(set(numbers))
    rest = read(service.get(address, headers={"last-event-id": str(numbers[-2])}).text)
    assert [name for _, name, _ in rest] == ["complete"]


def test_a_job_is_cancelled_and_keeps_what_it_has(root: Path, tmp_path: Path) -> None:
    folder = pictures.folder(tmp_path / "root", [(0, n, 1) for n in range(100)])
    log = tmp_path / "log"
    with running(
        *NUMBERED, "--root", folder, "--cache-dir", tmp_path / "c", PLANTED_SECONDS="0.05", PLANTED_LOG=str(log)
    ) as service:
        address = service.post("/v1/jobs", json={"paths": ["."]}).headers["location"]
        while service.get(address).json()["done"] < 3:
            time.sleep(0.02)
        running_job = service.get(address).json()
        assert running_job["state"] == "running" and running_job["total"] == 100
        assert 0 < running_job["eta_seconds"] < 60
        assert len(results(service, address)) >= 3
        assert service.delete(address).json()["state"] == "cancelled"
        time.sleep(0.5)
        computed = log.read_text().count("caption")
        assert computed < 60
        assert len(results(service, address)) >= 3
        assert service.delete(address).json()["state"] == "cancelled"
        time.sleep(0.3)
        assert log.read_text().count("caption") == computed


def test_who_waits_for_an_answer_comes_before_a_job(tmp_path: Path) -> None:
    folder = pictures.folder(tmp_path / "root", [(0, n, 1) for n in range(200)])
    with running(*NUMBERED, "--root", folder, "--cache-dir", tmp_path / "c", PLANTED_SECONDS="0.05") as service:
        address = service.post("/v1/jobs", json={"paths": ["."]}).headers["location"]
        while service.get(address).json()["done"] < 3:
            time.sleep(0.02)
        began = time.monotonic()
        assert service.predict(png((1, 1, 1))).status_code == 200
        assert time.monotonic() - began < 2
        assert service.get(address).json()["state"] == "running"


def test_a_job_that_has_ended_cannot_be_cancelled_and_expires(root: Path, tmp_path: Path) -> None:
    with running(*PLANTED, "--root", root, "--cache-dir", tmp_path, "--job-ttl", "1s") as service:
        address = service.post("/v1/jobs", json={"paths": ["photos/001.png"]}).headers["location"]
        ended(service, address)
        problem(service.delete(address), 409, "conflict")
        time.sleep(2.5)
        for method, place in (("GET", ""), ("GET", "/results"), ("GET", "/events"), ("DELETE", "")):
            problem(service.request(method, address + place), 410, "job_expired")
        assert service.get("/v1/jobs").json()["jobs"] == []


def test_jobs_are_their_owner_s(root: Path, tmp_path: Path) -> None:
    from imgtool.service.keys import Role, add_key

    keys = tmp_path / "keys.json"
    anna, ben = ({"x-api-key": add_key(keys, name, Role.USER, None)} for name in ("anna", "ben"))
    admin = {"x-api-key": add_key(keys, "root", Role.ADMIN, None)}
    with running(*PLANTED, "--root", root, "--cache-dir", tmp_path / "c", "--api-keys", keys) as service:
        address = service.post("/v1/jobs", json={"paths": ["photos"]}, headers=anna).headers["location"]
        for place in ("", "/results", "/events"):
            problem(service.get(address + place, headers=ben), 404, "not_found")
        problem(service.delete(address, headers=ben), 404, "not_found")
        assert service.get("/v1/jobs", headers=ben).json()["jobs"] == []
        assert len(service.get("/v1/jobs", headers=admin).json()["jobs"]) == 1
        assert service.get(address, headers=admin).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_service_that_is_killed_goes_on_with_its_jobs_and_computes_only_what_is_missing(
    tmp_path: Path, number: signal.Signals
) -> None:
    count = 120
    folder = pictures.folder(tmp_path / "root", [(n // 256, n % 256, 1) for n in range(count)])
    log = tmp_path / "log"
    arguments = (*NUMBERED, "--root", folder, "--cache-dir", tmp_path / "cache")
    environ = {"PLANTED_SECONDS": "0.02", "PLANTED_LOG": str(log)}
    with running(*arguments, **environ) as service:
        made = service.post("/v1/jobs", json={"paths": ["."]})
        uploaded = service.post("/v1/jobs", files=[("f", ("a.png", png((9, 9, 9))))])
        address = made.headers["location"]
        while service.get(address).json()["done"] < 30:
            time.sleep(0.02)
        service.process.send_signal(number)
        service.process.wait(20)
    with running(*arguments, **environ) as service:
        require_complete(service, address, count)
        assert ended(service, uploaded.headers["location"])["done"] == 1
    assert sum(times > 1 for times in times_computed(log)) <= 2, "more than what was in hand was computed twice"


@pytest.mark.slow
def test_a_job_of_500_images_survives_two_kills(tmp_path: Path) -> None:
    count = 500
    folder = pictures.folder(tmp_path / "root", [(n // 256, n % 256, 2) for n in range(count)])
    log = tmp_path / "log"
    arguments = (*NUMBERED, "--root", folder, "--cache-dir", tmp_path / "cache")
    environ = {"PLANTED_SECONDS": "0.01", "PLANTED_LOG": str(log)}
    address = None
    for done_before_the_kill in (150, 350):
        with running(*arguments, **environ) as service:
            address = address or service.post("/v1/jobs", json={"paths": ["."]}).headers["location"]
            while service.get(address).json()["done"] < done_before_the_kill:
                time.sleep(0.02)
            service.process.kill()
            service.process.wait(20)
    with running(*arguments, **environ) as service:
        require_complete(service, address, count)
    computed = times_computed(log)
    assert len(computed) == count
    assert sum(times > 1 for times in computed) <= 4, "more than what was in hand was computed twice"


def test_two_services_do_not_share_a_journal(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    try:
        with pytest.raises(ConfigProblem, match="another service") as caught:
            Journal(tmp_path)
        assert "--jobs-dir" in caught.value.remedy
    finally:
        first.close()
    Journal(tmp_path).close()


def test_a_journal_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    from imgtool.errors import OutputNotWritable

    (tmp_path / "jobs.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(OutputNotWritable) as caught:
        Journal(tmp_path)
    assert "--jobs-dir" in caught.value.remedy
    os.truncate(tmp_path / "jobs.sqlite", 0)
    Journal(tmp_path).close()


def test_the_time_left_follows_the_pace() -> None:
    clock = FakeClock()
    job = Job(
        id="x", owner="x", state=JobState.RUNNING, created=0, started=0, ended=None, tasks=None, paths=(), listed=True,
        total=100, done=10, failed=0, error=None, digest=None,
    )  # fmt: skip
    progress = Progress(job, clock)
    assert progress.eta_seconds is None
    for _ in range(10):
        progress.note(failed=False)
        clock.advance(2)
    assert (progress.done, progress.eta_seconds) == (20, 160.0)
