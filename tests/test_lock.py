"""``requirements/``, which ``make lock`` writes: it pins what ``pyproject.toml`` asks for, and leaves torch free."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FOLDER = ROOT / "requirements"
FREE = re.compile(r"(torch|torchvision|triton|nvidia-.*|cuda-.*)")
MACHINES = [
    {"python_version": version, "python_full_version": f"{version}.5", "sys_platform": system}
    for version in ("3.11", "3.12", "3.13", "3.14")
    for system in ("linux", "darwin")
]


def pins(path: Path) -> Iterator[tuple[Requirement, list[str]]]:
    """Every pin of a file, with its hashes."""
    for line in re.sub(r"\\\n\s*", "", path.read_text(encoding="utf-8")).splitlines():
        if line and not line.startswith("#"):
            requirement, *hashes = re.split(r"\s*--hash=", line)
            yield Requirement(requirement), hashes


def on(machine: dict[str, str], path: Path) -> dict[str, str]:
    """The versions that a file pins there."""
    found = [each for each, _ in pins(path) if each.marker is None or each.marker.evaluate(machine)]
    return {canonicalize_name(each.name): next(iter(each.specifier)).version for each in found}


def asked() -> Iterator[Requirement]:
    """All direct dependencies, of the extras too, but for the project itself."""
    extras = PROJECT["optional-dependencies"].values()
    for text in [*PROJECT["dependencies"], *(each for extra in extras for each in extra)]:
        requirement = Requirement(text)
        if requirement.name != PROJECT["name"]:
            yield requirement


@pytest.mark.parametrize("machine", MACHINES, ids=lambda each: f"{each['python_version']}-{each['sys_platform']}")
def test_every_dependency_is_pinned_to_a_version_that_is_asked_for(machine: dict[str, str]) -> None:
    pinned = on(machine, FOLDER / "constraints.txt")
    for each in asked():
        if not FREE.fullmatch(each.name):
            assert pinned[canonicalize_name(each.name)] in each.specifier, f"{each}: run `make lock`"


def test_torch_and_what_it_brings_are_left_to_the_resolver() -> None:
    assert [each.name for each, _ in pins(FOLDER / "constraints.txt") if FREE.fullmatch(each.name)] == []


@pytest.mark.parametrize("name", ["runtime.txt", "build.txt"])
def test_what_the_image_installs_is_locked_by_hashes_and_agrees_with_the_constraints(name: str) -> None:
    for requirement, hashes in pins(FOLDER / name):
        assert requirement.url is None
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each.strip()) for each in hashes)
    for machine in MACHINES:
        assert on(machine, FOLDER / name).items() <= on(machine, FOLDER / "constraints.txt").items()


def test_the_plain_install_is_locked_whole() -> None:
    locked = {canonicalize_name(each.name) for each, _ in pins(FOLDER / "runtime.txt")}
    assert {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]} <= locked


def test_no_index_is_named() -> None:
    for path in FOLDER.iterdir():
        assert "://" not in path.read_text(encoding="utf-8")
