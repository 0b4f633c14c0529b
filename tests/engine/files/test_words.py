"""Words as a shell would read them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from imgtool.engine.files.words import address_of, as_glob, expanded, path_of_address, real_path, unescaped

# The names under test are strings, as lists are read.

BASH = shutil.which("bash")
WORDS = (
    *("a{b,c}.jpg", "{b,c}{d,e}", "{a,b{c,d},e}.png", "{,x}y", "{1..4}", "{4..1}.jpg", "{08..11}", "{a..d}", "{-1..1}"),
    *(
        "{one}",
        "{}",
        "{a,b",
        "a}b{c,d}",
        "{{a,b}",
        "a{b{c,d}",
        r"\{a,b\}",
        r"{a\,b,c}",
        "plain",
        "{1..}",
        "~",
        "~/x.jpg",
    ),
)


@pytest.mark.skipif(BASH is None, reason="bash is not installed")
@pytest.mark.parametrize("word", WORDS)
def test_words_are_expanded_as_by_bash(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert BASH is not None
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    done = subprocess.run(
        [BASH, "-c", f'set -f; printf "%s\\n" {word}'], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert [unescaped(each) for each in expanded(word)] == done.stdout.splitlines()


@pytest.mark.parametrize("word", ["{" * 5000 + "}" * 5000, "{0..999999999}", "{0..9999}{0..9999}", "{a,b}" * 20])
def test_what_would_be_too_much_stays_as_it_is(word: str) -> None:
    assert expanded(word) == [word]


def test_a_backslash_takes_the_meaning_of_what_follows() -> None:
    assert as_glob(r"a\*\?\[b\].j*") == "a[*][?][[]b].j*"


def test_names_in_results_and_addresses_lead_to_the_file(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 #1.jpg")
    Path(name).touch()
    assert real_path(f"{tmp_path}/caf\\xe9 #1.jpg") == name
    assert address_of(name).endswith("/caf%E9%20%231.jpg")
    assert path_of_address(address_of(name)) == name
    for other in ("https://localhost/a.jpg", "file://server/a.jpg", "file:a.jpg"):
        assert path_of_address(other) is None
