"""What the command line of ``warm-cache`` asks for, and what excludes each other."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer

from imgtool.cli.main import app
from imgtool.cli.warm.command import _ENGINE_OPTIONS
from imgtool.cli.warm.request import WarmRequest
from imgtool.errors import UsageProblem
from imgtool.options import Precision, Weights


def asking(**asked: Any) -> WarmRequest:
    """A request for nothing but what is named."""
    nothing: dict[str, Any] = {field.name: False for field in fields(WarmRequest)}
    nothing |= {
        "names": (),
        "analyze": (),
        "source": None,
        "max_size": None,
        "calibrate": None,
        "load": True,
        "compile": True,
    }
    return WarmRequest(**{**nothing, **asked})


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"check": True, "dry_run": True}, "--check"),
        ({"check": True, "prune": True}, "--check"),
        ({"prune": True, "analyze": ("a",)}, "--analyze"),
        ({"max_size": 1}, "--max-size"),
        ({"prune": True, "names": ("blip-base",)}, "--prune"),
        ({"anew": True, "compile": False}, "--compile"),
        ({"anew": True, "dry_run": True}, "--compile"),
        ({"calibrate": Path(), "check": True}, "--calibrate"),
        ({"calibrate": Path(), "compile": False}, "--calibrate"),
        ({"calibrate": Path()}, "needs --precision fast"),
        ({"refresh": True, "offline": True}, "--refresh"),
    ],
)
def test_what_excludes_each_other_is_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageProblem, match=words) as caught:
        asking(**asked).require_sense(Weights.REAL, Precision.EXACT)
    assert caught.value.remedy


def test_synthetic_weights_come_from_nowhere_else() -> None:
    request = asking(source=Path("a"))
    request.require_sense(Weights.REAL, Precision.EXACT)
    with pytest.raises(UsageProblem, match="--from"):
        request.require_sense(Weights.SYNTHETIC, Precision.EXACT)


def test_damaged_synthetic_weights_can_be_made_again() -> None:
    """Their remedy is --refresh, as for any other model."""
    asking(refresh=True).require_sense(Weights.SYNTHETIC, Precision.EXACT)


def test_what_is_asked_of_the_fetch() -> None:
    fetching = asking(offline=True, full=True, source=Path("a")).fetching()
    assert (fetching.offline, fetching.full, fetching.refresh, fetching.source) == (True, True, False, Path("a"))


def test_every_flag_is_an_option_of_the_engine_or_part_of_the_request() -> None:
    names = {parameter.name for parameter in typer.main.get_command(app).commands["warm-cache"].params}  # type: ignore[attr-defined]
    assert names > _ENGINE_OPTIONS
    part = {
        *(field.name for field in fields(WarmRequest)),
        "no_load",
        "no_compile",
        "full_check",
        "help_all",
        "log_format",
        "cluster",
    }
    assert names - _ENGINE_OPTIONS == part - {"load", "compile", "full"}
