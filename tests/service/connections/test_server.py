"""How the service begins and ends: addresses, signals, exit codes, and what becomes of what was begun."""

from __future__ import annotations

import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from imgtool.errors import ExitCode
from imgtool.service.connections.server import AddressUnusable, listen
from imgtool.service.keys import Role, add_key
from tests.command import imgtool
from tests.service.running import PLANTED, png, problem, running

SLOW = ("-t", "caption", "--caption-engine", "tests.planted:Slow", "--workers", "1")


def test_it_is_live_before_it_is_ready_and_says_what_it_waits_for(tmp_path: Path) -> None:
    hangs = (
        "-t",
        "caption,text",
        "--caption-engine",
        "tests.planted:HangsLoading",
        "--text-engine",
        "tests.planted:Fine",
    )
    with running(*hangs, "--cache-dir", tmp_path, ready=False) as service:
        assert service.get("/livez").status_code == 200
        answer = service.get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        assert "caption" in answer.json()["waiting_for"]


def test_a_model_that_fails_to_load_costs_its_task_alone(tmp_path: Path) -> None:
    fails = (
        "-t",
        "caption,text",
        "--caption-engine",
        "tests.planted:FailsLoading",
        "--text-engine",
        "tests.planted:Fine",
    )
    with running(*fails, "--cache-dir", tmp_path) as service:
        answer = service.get("/readyz").json()
        assert (answer["loaded"], list(answer["failed"])) == (["text"], ["caption"])
        assert service.predict(png()).json()["status"] == "partial"
        problem(service.predict(png(), params={"tasks": "caption"}), 503, "model_load_failed")


def test_sigterm_answers_what_was_begun_refuses_what_comes_and_ends_with_0(tmp_path: Path) -> None:
    with running(*SLOW, "--cache-dir", tmp_path, "--grace", "20s") as service, ThreadPoolExecutor(12) as threads:
        # Connections that stand before the signal comes.
        other = httpx.Client(base_url=service.address)
        assert other.get("/livez").status_code == 200
        sent = [threads.submit(service.predict, png((n, 1, 1))) for n in range(12)]
        time.sleep(0.3)
        workers = service.workers()
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        assert other.get("/readyz").json()["draining"] is True
        refused = problem(
            other.post("/v1/predict", content=png(), headers={"content-type": "image/png"}), 503, "draining"
        )
        assert refused["remedy"]
        assert [each.result().status_code for each in sent] == [200] * 12
        assert service.process.wait(15) == ExitCode.OK
        other.close()
        with pytest.raises(httpx.ConnectError):
            service.get("/livez")
        _are_gone(workers)


def test_after_the_grace_what_is_left_is_given_up(tmp_path: Path) -> None:
    hangs = ("-t", "caption", "--caption-engine", "tests.planted:Hazard", "--cache-dir", tmp_path)
    with running(*hangs, "--grace", "500ms") as service:
        thread = threading.Thread(target=_ignoring_errors, args=(service, png((0, 255, 0))))
        thread.start()
        time.sleep(0.3)
        workers = service.workers()
        began = time.monotonic()
        assert service.stop() == ExitCode.OK
        assert time.monotonic() - began < 10
        thread.join(10)
        _are_gone(workers)


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    hangs = ("-t", "caption", "--caption-engine", "tests.planted:Hazard", "--cache-dir", tmp_path)
    with running(*hangs, "--grace", "5m") as service:
        thread = threading.Thread(target=_ignoring_errors, args=(service, png((0, 255, 0))))
        thread.start()
        time.sleep(0.3)
        workers = service.workers()
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert service.process.poll() is None
        assert service.stop(signal.SIGINT, timeout=5) == ExitCode.INTERRUPTED
        thread.join(10)
        _are_gone(workers)


def _ignoring_errors(service: object, content: bytes) -> None:
    with suppress(httpx.HTTPError):
        service.predict(content)  # type: ignore[attr-defined]


def _are_gone(pids: list[int]) -> None:
    import psutil

    assert pids
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline, "a worker is left"
        time.sleep(0.05)


def test_an_address_that_is_taken_is_said_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AddressUnusable, match="in use"):
            listen("127.0.0.1", port)
        done = imgtool("serve", "--port", str(port), *PLANTED)
    assert done.code is ExitCode.USAGE
    assert f"127.0.0.1:{port}" in done.err and "--port" in done.err and "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--host", "0.0.0.0"), ExitCode.USAGE, ("everybody", "serve keys add")),
        (("--port", "70000"), ExitCode.USAGE, ("--port", "65535")),
        (("--queue", "0"), ExitCode.USAGE, ("--queue",)),
        (("--max-body", "much"), ExitCode.USAGE, ("--max-body",)),
        (("--root", "/no/such"), ExitCode.USAGE, ("--root",)),
        (("--api-keys", "/no/such.json"), ExitCode.USAGE, ("serve keys add",)),
        (("--rate-limit", "often"), ExitCode.USAGE, ("100/minute",)),
        (("--trusted-proxy", "example"), ExitCode.USAGE, ("10.0.0.0/8",)),
        (("--rate-limit-storage", "redis://localhost"), ExitCode.USAGE, ("--rate-limit",)),
        (("-t", "labels"), ExitCode.MODEL_MISSING, ("labels",)),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_served(
    arguments: tuple[str, ...], code: ExitCode, words: tuple[str, ...]
) -> None:
    tasks = () if "-t" in arguments else PLANTED
    done = imgtool("serve", "--port", "0", *tasks, *arguments)
    assert done.code is code, done.err
    for word in words:
        assert word in done.err
    assert "Traceback" not in done.err


def test_without_its_libraries_the_command_says_how_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('none', name='uvicorn')")
    done = imgtool("serve", *PLANTED, PYTHONPATH=f"{tmp_path}:{Path(__file__).parents[2]}")
    assert done.code is ExitCode.USAGE
    assert "[serve]" in done.err and "uvicorn" in done.err


def test_another_address_is_listened_at_where_keys_say_who_may_ask(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.json", "anna", Role.USER, None)
    arguments = ("--host", "0.0.0.0", "--api-keys", tmp_path / "keys.json", "--cache-dir", tmp_path / "cache")
    with running(*PLANTED, *arguments) as service:
        local = f"http://127.0.0.1:{service.port}"
        problem(httpx.get(f"{local}/v1/stats", headers={"host": "any.example"}), 401, "key_missing")
        assert httpx.get(f"{local}/v1/stats", headers={"x-api-key": key}).status_code == 200
