"""The stages of the Dockerfile without a Docker engine: folders, and no network at all in the last.

``wheel`` and ``environment`` install what the image has, by the Dockerfile's own commands. ``bake`` bakes from a hub on
this machine. ``runtime`` runs in a network namespace that has no interfaces, with another home, and with the baked
folder mounted read-only, as an image's layer is in a read-only container.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from imgtool.weights.catalogue import easyocr_models
from imgtool.weights.easyocr_table import table_entry
from tests.conftest import ROOT
from tests.container import REASON as NO_OTHER_USER
from tests.container import UID, in_container
from tests.fakes.easyocr_table import CRAFT_URL, KOREAN_URL, write_easyocr
from tests.fakes.hub import FakeHub, noise, running_hub
from tests.model_files import BLIP, blip_files
from tests.test_dockerfile import stages

pytestmark = pytest.mark.slow

TORCH = all(find_spec(name) for name in ("torch", "torchvision", "transformers", "easyocr"))

_UNSHARE = ["unshare", "--net", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


def _can_unshare() -> str:
    """Why a process without network cannot be had here; empty where it can."""
    if shutil.which("unshare") is None:
        return "there is no unshare here"
    done = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"network namespaces are not permitted: {done.stderr.strip()}"


REASON = _can_unshare()
needs_namespaces = pytest.mark.skipif(bool(REASON), reason=REASON)


@dataclass(frozen=True)
class Image:
    """What the Dockerfile copies between its stages, and the packages that both have beside the environment."""

    cache: Path
    home: Path
    packages: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the Dockerfile sets with ENV, and nothing of this machine's that could help."""
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.home),
            "PYTHONPATH": f"{ROOT}:{self.packages}",
            "IMGTOOL_CACHE_DIR": str(self.cache),
            "HF_HOME": str(self.cache / "huggingface"),
            "EASYOCR_MODULE_PATH": str(self.cache / "easyocr"),
        }

    def bake(self, hub: FakeHub, *arguments: str) -> dict[str, Any]:
        """The first stage: with a network."""
        sent = hub.environment(self.home)
        reach = {name: sent[name] for name in ("HF_ENDPOINT", "IMGTOOL_EASYOCR_ENDPOINT", "NO_PROXY", "no_proxy")}
        done = subprocess.run(
            [sys.executable, "-m", "imgtool", "warm-cache", "--json", *arguments],
            env={**self.environment, **reach},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def run(self, *command: str, home: Path, python: Path | None = None) -> subprocess.CompletedProcess[str]:
        """The last stage: no interfaces, another home, the baked folder read-only.

        ``python`` is that of the image's environment, which has nothing from outside; or else this one with torch.
        """
        outside = {} if python is None else {"PYTHONPATH": ""}
        return subprocess.run(
            [*_UNSHARE, "sh", "-c", _READ_ONLY, str(self.cache), str(python or sys.executable), *command],
            env={**self.environment, **outside, "HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )


@pytest.fixture
def image(tmp_path: Path) -> Image:
    for name in ("cache", "builder", "packages"):
        (tmp_path / name).mkdir()
    return Image(tmp_path / "cache", tmp_path / "builder", tmp_path / "packages")


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """The home of the user who runs the container: not the one who baked."""
    home = tmp_path / "stranger"
    home.mkdir()
    return home


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of the image's environment: what the stages ``wheel`` and ``environment`` install, from the index."""
    root = tmp_path_factory.mktemp("image")
    subprocess.run([sys.executable, "-m", "venv", str(root / "usr")], check=True)  # the Python of the base image
    path = f"{root}/opt/imgtool/bin:{root}/usr/bin:{os.environ['PATH']}"
    place = re.compile(r"(?<![\w./])/(?=(opt/imgtool|wheels|requirements|src)\b)")
    for stage in ("wheel", "environment"):
        folder = root
        for instruction, rest in stages()[stage][1]:
            words = shlex.split(place.sub(f"{root}/", rest))
            if instruction == "WORKDIR":
                folder = Path(words[0])
                folder.mkdir()
            elif instruction == "COPY" and not words[0].startswith("--from"):
                for name in words[:-1]:
                    target = folder / words[-1] if len(words) == 2 and words[-1] != "./" else folder / Path(name).name
                    (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
            elif instruction == "RUN":
                command = place.sub(f"{root}/", rest)
                subprocess.run(["sh", "-ec", command], cwd=folder, env={**os.environ, "PATH": path}, check=True)
    return root / "opt" / "imgtool" / "bin" / "python"


def test_the_plain_image_is_small_and_answers(installed: Path, stranger: Path) -> None:
    folder = installed.parents[1]
    assert sum(path.stat().st_size for path in folder.rglob("*") if not path.is_symlink()) < 700_000_000
    command = [str(installed.with_name("imgtool")), "analyze", str(ROOT / "examples/images/receipt.jpg")]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(stranger), "IMGTOOL_LANGUAGES": "en"}
    done = subprocess.run(
        [*command, "--tasks", "caption,text", "--format", "jsonl"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tasks = json.loads(done.stdout)["tasks"]
    assert tasks["text"]["engine"] == "rapidocr"
    assert "CORNER GROCERY" in done.stdout


@needs_namespaces
def test_the_second_stage_has_no_network_and_cannot_write(image: Image, stranger: Path) -> None:
    """What the tests below rely on: the emulation would notice a download and a write."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ask = f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=5)"
        assert subprocess.run([sys.executable, "-c", ask], check=False).returncode == 0
        assert "OSError" in image.run("-c", ask, home=stranger).stderr
    write = f"open({str(image.cache / 'new')!r}, 'w')"
    assert "Read-only file system" in image.run("-c", write, home=stranger).stderr


@needs_namespaces
def test_a_baked_folder_passes_the_check_without_network(image: Image, stranger: Path) -> None:
    craft, korean = noise(30_000, 1), noise(20_000, 2)
    write_easyocr(image.packages, craft, korean)
    # As if the torch extra were in the image, whatever this environment has: a look imports none of it.
    for name in ("torch", "torchvision", "transformers"):
        (image.packages / name).mkdir()
        (image.packages / name / "__init__.py").touch()
    with running_hub() as hub:
        hub.add(BLIP, blip_files())
        for url, name, content in (
            (CRAFT_URL, "craft_mlt_25k.pth", craft),
            (KOREAN_URL, "korean_g2.pth", korean),
        ):
            hub.add_archive(urlsplit(url).path, {name: content})
        image.bake(hub, "--no-load")
    for arguments in (["--check"], ["--full-check"], ["--no-load"], ["--offline", "--no-load"]):
        done = image.run("-m", "imgtool", "warm-cache", *arguments, home=stranger)
        assert done.returncode == 0, done.stderr
    weights = next((image.cache / "huggingface").rglob("model.safetensors"))
    weights.unlink()
    assert image.run("-m", "imgtool", "warm-cache", "--check", home=stranger).returncode == 5


_MAKE = """
import sys
from pathlib import Path
from imgtool.weights.synthetic.networks import make_blip, make_easyocr
make_blip(Path(sys.argv[1]) / "blip")
make_easyocr(Path(sys.argv[1]) / "easyocr", ["ko", "en"])
"""


def make_weights(image: Image, folder: Path) -> Path:
    """Small made-up weights of both models in ``folder``, which is returned."""
    made = subprocess.run(
        [sys.executable, "-c", _MAKE, str(folder)], env=image.environment, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return folder


def serve_weights(hub: FakeHub, image: Image, weights: Path) -> str:
    """Have ``hub`` publish ``weights`` as both models; the commit of BLIP."""
    for path, file in _easyocr_with_other_sums(image.packages, weights / "easyocr").items():
        hub.add_archive(path, {file.name: file})
    return hub.add_folder(BLIP, weights / "blip")


def _easyocr_with_other_sums(packages: Path, weights: Path) -> dict[str, Path]:
    """The installed EasyOCR, file by file, but for a table with the MD5 of made-up weights; archives by their path."""
    spec = find_spec("easyocr")
    assert spec is not None and spec.origin is not None
    real = Path(spec.origin).parent
    package = packages / "easyocr"
    package.mkdir()
    for path in real.iterdir():
        if path.name not in ("config.py", "__pycache__"):
            (package / path.name).symlink_to(path)
    table = (real / "config.py").read_text(encoding="utf-8")
    archives = {}
    for model in easyocr_models(("ko", "en")):
        entry = table_entry(model)
        made = weights / entry.filename
        table = table.replace(entry.md5, hashlib.md5(made.read_bytes()).hexdigest())
        archives[urlsplit(entry.url).path] = made
    (package / "config.py").write_text(table, encoding="utf-8")
    return archives


@needs_namespaces
@pytest.mark.skipif(not TORCH, reason="the torch extra is not installed")
def test_captions_and_lines_come_from_baked_models_alone(
    image: Image, stranger: Path, tmp_path: Path, installed: Path
) -> None:
    weights = make_weights(image, tmp_path / "weights")
    with running_hub() as hub:
        commit = serve_weights(hub, image, weights)
        report = image.bake(hub)
        seen = len(hub.seen)
        assert image.bake(hub)["seconds"] < 1
        assert len(hub.seen) == seen
    loaded = [step for step in report["steps"] if step["step"] == "load"]
    assert [step["result"] for step in loaded] == ["done", "done"]
    assert all(step["rss_after_bytes"] > step["rss_before_bytes"] > 0 for step in loaded)
    shutil.rmtree(weights)

    assert image.run("-m", "imgtool", "warm-cache", "--check", home=stranger).returncode == 0
    # Where the hub's cache names no commit any more, as after baking one revision alone, the manifest still does.
    (branch,) = (image.cache / "huggingface/hub").glob("models--*/refs/main")
    branch.write_text("0" * 40)
    assert image.run("-m", "imgtool", "warm-cache", "--check", home=stranger).returncode == 0
    photos = [str(ROOT / "examples/images" / name) for name in ("receipt.jpg", "logo.png")]
    done = image.run(
        *("-m", "imgtool", "analyze", *photos, "--tasks", "caption,text", "--strict", "--format", "jsonl"),
        home=stranger,
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line)["tasks"] for line in done.stdout.splitlines()]
    assert [(tasks["caption"]["engine"], tasks["text"]["engine"]) for tasks in results] == [("blip", "easyocr")] * 2
    assert all(tasks["caption"]["value"] for tasks in results)
    assert any(tasks["text"]["value"] for tasks in results)
    assert {tasks["caption"]["model_version"] for tasks in results} == {commit}

    # The image itself has no torch.
    assert image.run("-m", "imgtool", "warm-cache", "--check", home=stranger, python=installed).returncode == 0
    plain = image.run(
        *("-m", "imgtool", "analyze", *photos, "--tasks", "caption,text", "--strict", "--format", "jsonl"),
        home=stranger,
        python=installed,
    )
    assert plain.returncode == 0, plain.stderr
    again = [json.loads(line)["tasks"] for line in plain.stdout.splitlines()]
    assert {tasks[name]["backend"] for tasks in again for name in ("caption", "text")} == {"onnx"}

    # As `docker run --read-only --network none` does it: the image's own user, and no folder that may be written.
    if not NO_OTHER_USER:
        subprocess.run(["chown", "-R", str(UID), str(image.cache)], check=True)
        words = ["-m", "imgtool", "analyze", *photos, "--tasks", "caption,text", "--strict", "--format", "jsonl"]
        done_there = in_container(
            words,
            visible=[tmp_path, installed.parents[3]],
            read_only=True,
            network=False,
            python=installed,
            environ={**image.environment, "PYTHONPATH": "", "HOME": "/home/imgtool"},
        )
        assert done_there.code == 0, done_there.err
        there = [result["tasks"] for result in done_there.results]
        assert [tasks[name]["value"] for tasks in there for name in ("caption", "text")] == [
            tasks[name]["value"] for tasks in again for name in ("caption", "text")
        ]
    assert [(tasks[name]["value"]) for tasks in again for name in ("caption", "text")] == [
        tasks[name]["value"] for tasks in results for name in ("caption", "text")
    ]
