"""Nothing that imgtool uses reports home or leaves an identifier of the machine behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imgtool.artefacts.manifest import FAST
from imgtool.ground.privacy import SETTINGS
from tests import pictures
from tests.command import imgtool
from tests.fakes.exporter import GRAPH


def written_under(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """A home and a scratch folder of their own, so that all that is left there is seen."""
    places = {"HOME": tmp_path / "somebody", "TMPDIR": tmp_path / "scratch"}
    for folder in places.values():
        folder.mkdir()
    return {name: str(folder) for name, folder in places.items()}


def test_a_run_leaves_nothing_at_home_and_in_the_scratch_folder(
    tmp_path: Path, surroundings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    photos = pictures.folder(tmp_path / "photos", pictures.greys(2))
    done = imgtool("analyze", photos, "-t", "text,caption", "-l", "en", "--no-cache", **surroundings)
    assert done.code == 0, done.err
    assert written_under(Path(surroundings["HOME"])) == []
    assert written_under(Path(surroundings["TMPDIR"])) == []


OPENVINO = """
import sys
from pathlib import Path
from imgtool.inference.sessions import OpenVinoGraph
from imgtool.compiling.lossy.methods import in_bfloat16
folder = Path(sys.argv[1])
if sys.argv[2] == "compile":
    in_bfloat16(folder, ["network"], {})
OpenVinoGraph(folder / "fast" / "network.blob", 1)
"""


def test_openvino_is_imported_without_what_counts_its_imports(
    folder: Path, tmp_path: Path, surroundings: dict[str, str]
) -> None:
    pytest.importorskip("openvino")
    (folder / FAST).mkdir()
    (folder / f"{GRAPH}.onnx").rename(folder / "network.onnx")
    for what in ("compile", "open"):
        words = [sys.executable, "-c", OPENVINO, str(folder), what]
        subprocess.run(words, env={**os.environ, **surroundings, "CI": ""}, check=True)
        assert written_under(Path(surroundings["HOME"])) == [], what


def test_what_the_user_has_set_stays() -> None:
    code = "import os, imgtool; print([os.environ[n] for n in ('ORT_DISABLE_TELEMETRY', 'HF_HUB_DISABLE_TELEMETRY')])"
    environ = {**os.environ, "ORT_DISABLE_TELEMETRY": "0"}
    environ.pop("HF_HUB_DISABLE_TELEMETRY", None)
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['0', '1']"
