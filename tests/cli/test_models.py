"""``imgtool models``: all engines as a list, one of them in detail with its parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from imgtool.cli.models import models
from imgtool.errors import ExitCode
from imgtool.parameters import TABLES
from tests.command import imgtool

Tell = Callable[..., Any]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Tell:
    """What machines are told of all engines, or of one."""

    def tell(engine: str | None = None) -> Any:
        models(engine, json=True)
        return json.loads(capsys.readouterr().out)

    return tell


def test_every_engine_is_listed_and_what_is_missing_says_what_to_do(told: Tell) -> None:
    engines = told()
    assert {engine["name"] for engine in engines} >= {"blip", "describe", "easyocr", "rapidocr", "classifier"}
    assert all(engine["available"] or engine["remedy"] for engine in engines)
    shown = imgtool("models", COLUMNS="80").out
    assert max(map(len, shown.splitlines())) <= 80
    for engine in engines:
        assert re.search(rf"^{engine['task']} +{engine['name']} ", shown, flags=re.M)


@pytest.mark.parametrize("engine", ["easyocr", "tesseract", "classifier"])
def test_the_parameters_of_an_engine_are_listed(engine: str, told: Tell) -> None:
    (option, expected), *_ = (
        (option, [p for p in table.values() if engine in p.engines])
        for option, table in TABLES.items()
        if any(engine in p.engines for p in table.values())
    )
    done = imgtool("models", engine, COLUMNS="80")
    assert done.code is ExitCode.OK
    assert f"--{option} NAME=VALUE" in done.out
    for parameter in expected:
        (row,) = re.findall(rf"^{parameter.name} .*$", done.out, flags=re.M)
        assert parameter.default in row
    listed = told(engine)[0]["parameters"]
    assert [(one["option"], one["name"]) for one in listed] == [(option, one.name) for one in expected]
    assert all(one["meaning"] and one["takes"] and one["default"] for one in listed)


def test_an_engine_without_parameters_says_so(told: Tell) -> None:
    assert "takes no parameters" in imgtool("models", "describe").out
    assert told("describe")[0]["parameters"] == []
    done = imgtool("models", "rapidocr")
    assert "Apache-2.0" in done.out
    assert "en, zh, ja" in done.out


def test_the_nearest_engine_is_offered() -> None:
    done = imgtool("models", "esyocr")
    assert done.code is ExitCode.USAGE
    assert "'easyocr'" in done.err
    assert imgtool("models", "thumbnail").code is ExitCode.USAGE
