"""The published report of speed."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("name", ["performance.json", "performance.md"])
def test_it_names_no_folder_of_the_machine_that_measured(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert re.findall(r"""["'\s]/(?:home|root|tmp|work|Users|opt|srv|mnt|usr)/[^"'\s]*""", text) == []
