"""What ``--cluster`` may name, and what is said where Ray is not installed."""

from __future__ import annotations

from pathlib import Path
from socket import socket

import pytest

from imgtool.cluster.address import host_and_port
from imgtool.errors import ExitCode, UsageProblem
from tests import pictures
from tests.command import analyze
from tests.redis_servers import free_port

HAZARD = ("-t", "caption", "--caption-engine", "tests.planted:Hazard")


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("auto", None),
        ("local", None),
        ("head:6379", ("head", 6379)),
        ("[::1]:6379", ("::1", 6379)),
        ("ray://head", ("head", 10001)),
        ("ray://head:10002", ("head", 10002)),
    ],
)
def test_addresses(address: str, place: tuple[str, int] | None) -> None:
    assert host_and_port(address) == place


@pytest.mark.parametrize("address", ["", "head", "ray://", "http://head:1", "head:port", "head:99999", "ray://h/x"])
def test_what_is_none(address: str) -> None:
    with pytest.raises(UsageProblem, match="--cluster"):
        host_and_port(address)


def test_an_address_that_does_not_answer(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    photos = pictures.folder(tmp_path / "photos", pictures.greys(2))
    with socket() as closed:
        closed.bind(("127.0.0.1", 0))  # it does not listen
        done = analyze(photos, *HAZARD, "--cluster", f"127.0.0.1:{closed.getsockname()[1]}")
    assert done.code is ExitCode.USAGE
    assert "nothing answers at 127.0.0.1" in done.err
    assert "ray start --head" in done.err
    assert "Traceback" not in done.err


def test_without_ray_the_extra_is_named(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(2))
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    # As Python marks what cannot be found.
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as u, sys\nfound = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'ray' else found(name, *more)\n"
    )
    from tests.conftest import ROOT

    done = analyze(photos, *HAZARD, "--cluster", "auto", PYTHONPATH=f"{hidden}:{ROOT}")
    assert done.code is ExitCode.USAGE
    assert "--cluster needs Ray" in done.err
    assert "[cluster]" in done.err


def test_what_is_in_the_cache_needs_no_cluster(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    photos = pictures.folder(tmp_path / "photos", pictures.greys(2))
    assert analyze(photos, *HAZARD).code is ExitCode.OK
    again = analyze(photos, *HAZARD, "--cluster", f"127.0.0.1:{free_port()}")
    assert again.code is ExitCode.OK, again.err
