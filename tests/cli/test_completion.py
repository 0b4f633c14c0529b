"""What the shell proposes after Tab, asked as bash asks it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from imgtool import options
from imgtool.cli import completion
from imgtool.config import resolve
from imgtool.weights.catalogue import find

_RUN = "from imgtool.cli.main import app; app(prog_name='imgtool')"


def proposed(line: str) -> list[str]:
    """Proposals for the last word of ``line``."""
    words = line.split(" ")
    quoted = line.count("'") % 2  # the shell takes what is in quotes for one word
    count = len(line[: line.index("'")].split(" ")) if quoted else len(words)
    environ = {**os.environ, "COMP_WORDS": line, "COMP_CWORD": str(count - 1), "_IMGTOOL_COMPLETE": "complete_bash"}
    done = subprocess.run([sys.executable, "-c", _RUN], env=environ, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "line, some",
    [
        ("imgtool analyze --tasks ", {"caption", "text", "labels"}),
        ("imgtool analyze --tasks text,c", {"text,caption"}),
        ("imgtool analyze -l ko,e", {"ko,en", "ko,es"}),
        ("imgtool analyze -f j", {"json", "jsonl"}),
        ("imgtool analyze --text-engine ", {"easyocr", "rapidocr", "tesseract"}),
        ("imgtool analyze --caption-engine d", {"describe"}),
        ("imgtool analyze --caption-model Sal", {"Salesforce/blip-image-captioning-base"}),
        ("imgtool analyze --database p", {"postgresql://"}),
        ("imgtool models r", {"rapidocr"}),
        ("imgtool search stat", {"status:"}),
        ("imgtool search status:fa", {"status:failed"}),
        ("imgtool search 'harbour -has:t", {"harbour -has:text"}),
        ("imgtool search harbour -f h", {"html"}),
        ("imgtool database export --database sq", {"sqlite:///"}),
    ],
)
def test_values_are_proposed(line: str, some: set[str]) -> None:
    found = proposed(line)
    assert some <= set(found)
    last = line.replace("'", "").split(" ")[-1]
    assert all(last in each for each in found)


def test_what_is_in_the_list_already_is_not_proposed_again() -> None:
    assert proposed("imgtool analyze --tasks text,") == ["text,caption", "text,labels", "text,codes"]


def test_every_value_of_a_list_is_one_that_the_option_takes() -> None:
    assert completion.arms("eager,comp") == ["eager,compiled", "eager,compiled-fast"]
    for name in ("BackendChoice", "Precision", "LoadPolicy", "Weights", "Scale", "Pages", "Truncated"):
        assert completion.choices(name)() == [each.value for each in getattr(options, name)]
    assert [find(name).name for name in completion.models() if name.startswith("blip")] == ["blip-base", "blip-large"]
    for device in completion.words("auto", "cpu", "cuda", "mps")():
        assert resolve({"device": device}).engine.device == device
