"""``imgtool serve`` as a command: its log, and who may be let in."""

from __future__ import annotations

import json
import sys

import msgspec
import pytest
import typer

from imgtool.cli.log_format import JsonStderr
from imgtool.cli.serve.command import app, keys_app
from imgtool.cli.serve.run import RequestLog
from imgtool.options import EngineOptions
from imgtool.service.gate import Noted
from tests.command import imgtool


def noted(path: str = "/v1/predict", status: int = 200) -> Noted:
    return Noted(
        request_id="r1", method="POST", path=path, route=path, status=status, seconds=0.0123, sent=5, caller="anna",
        address="127.0.0.1", more={"images": 1, "timing": {"answer": 1.0}},
    )  # fmt: skip


def test_a_line_of_text_a_request(capsys: pytest.CaptureFixture[str]) -> None:
    log = RequestLog(quiet=False)
    log.request(noted("/v1/\x1b[31mred"))
    line = capsys.readouterr().err
    assert "POST" in line and "200 12.3ms 5B anna id=r1 images=1" in line and "\x1b" not in line
    log.request(noted("/livez"))
    log.request(noted("/readyz", 503))
    assert capsys.readouterr().err == ""
    RequestLog(quiet=True).request(noted())
    assert capsys.readouterr().err == ""


def test_a_line_of_json_a_request(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", JsonStderr(sys.stderr))
    log = RequestLog(quiet=False)
    log.request(noted())
    log.notice("something")
    log.bug(noted(), ValueError("planted"))
    request, notice, bug = map(json.loads, capsys.readouterr().err.splitlines())
    assert request["event"] == "request" and request["images"] == 1 and request["seconds"] == 0.0123
    assert "timing" not in request and "more" not in request
    assert notice["message"] == "something"
    assert "ValueError: planted" in bug["traceback"][-1] and bug["request_id"] == "r1"


def test_every_option_of_the_engine_is_one_of_the_service_but_those_about_folders_and_whole_runs() -> None:
    flags = {parameter.name for parameter in typer.main.get_command(app).params}
    of_engine = {field.name for field in msgspec.structs.fields(EngineOptions)}
    of_runs = {"include", "exclude", "hidden", "rehash", "retry_failed", "fail_fast", "max_failure_rate"}
    assert of_engine - flags == of_runs


def test_help_shows_what_is_asked_for_most() -> None:
    short, long = (imgtool("serve", flag).out for flag in ("--help", "--help-all"))
    assert "--port" in short and "--api-keys" in short and "keys" in short
    assert "--num-beams" not in short and "--num-beams" in long
    assert app.registered_callback is not None and len(keys_app.registered_commands) == 3
