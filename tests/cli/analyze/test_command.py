"""The flags of ``analyze`` and the options of the configuration are the same; paths come from three places."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import msgspec
import pytest
import typer

from imgtool.cli.analyze.command import NOT_OPTIONS, _named_paths
from imgtool.cli.main import app
from imgtool.errors import PathMissing, UsageProblem
from imgtool.options import EngineOptions, OutputOptions

PARAMETERS = typer.main.get_command(app).commands["analyze"].params  # type: ignore[attr-defined]


def test_every_option_has_a_flag_and_every_flag_is_an_option() -> None:
    options = {field.name for kind in (EngineOptions, OutputOptions) for field in msgspec.structs.fields(kind)}
    of_all_commands = {"log_format"}
    assert {parameter.name for parameter in PARAMETERS} == options | NOT_OPTIONS | of_all_commands


def test_a_flag_that_is_not_given_leaves_the_option_open() -> None:
    assert {parameter.name for parameter in PARAMETERS if parameter.default is not None} == {"null", "help_all"}


def test_paths_are_named_then_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list").write_text("c\nd\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"e\nf\n"))))
    assert list(_named_paths(["a", "-", "b"], str(tmp_path / "list"), null=False)) == ["a", "b", "c", "d", "e", "f"]
    (tmp_path / "list").write_bytes(b"with\nnewline\0z\0")
    assert list(_named_paths([], str(tmp_path / "list"), null=True)) == ["with\nnewline", "z"]


def test_no_path_and_no_list_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="no paths"):
        _named_paths([], None, null=False)
    with pytest.raises(PathMissing):
        _named_paths(["a"], str(tmp_path / "none"), null=False)
