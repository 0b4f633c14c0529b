"""The commands of docs/outputs.md are run, and write what the page says."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from imgtool.cli.analyze import options
from imgtool.errors import ExitCode
from tests.command import imgtool
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "outputs.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, flags=re.M | re.S)
    for line in block.splitlines()
]
WRITTEN = (
    {f"examples/images/minutes.{kind}" for kind in ("txt", "hocr", "alto.xml", "ocr.pdf")},
    {"searchable/receipt.ocr.pdf", "searchable/minutes.ocr.pdf"},
    {"captions/receipt.txt"},
    {"out/receipt.json", "out/receipt.xmp"},
    {"results.xlsx", "results.csv"},
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a few examples."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "examples" / "images").mkdir(parents=True)
    shutil.copytree(ROOT / "examples" / "models", folder / "examples" / "models")
    for name in ("minutes.tif", "receipt.jpg", "street-sign.jpg"):
        shutil.copy(ROOT / "examples" / "images" / name, folder / "examples" / "images")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("command", "written"), list(zip(COMMANDS, WRITTEN, strict=True)), ids=COMMANDS)
def test_every_command_works(command: str, written: set[str], desk: Path) -> None:
    words = shlex.split(command)
    assert words[0] == "imgtool"
    done = imgtool(*words[1:], cwd=desk, timeout=300, IMGTOOL_CACHE_DIR=str(desk / "cache"))
    assert done.code is ExitCode.OK, done.err
    assert not {name for name in written if not (desk / name).is_file()}


def test_every_option_that_is_named_exists() -> None:
    known = Path(options.__file__).read_text(encoding="utf-8")
    for flag in set(re.findall(r"`(--[a-z-]+)", PAGE)):
        assert flag in known, flag
