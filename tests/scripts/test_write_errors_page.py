"""docs/errors.md says what the source says, and every error says what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from imgtool import errors
from imgtool.errors import ImgtoolError
from scripts.write_errors_page import PAGE, page

SAYS_IT_ITSELF = {
    "Damaged",  # the load adds the command
    "DocumentFailed",  # a note about one file, and no end of the run
}
ROW = re.compile(r"^\| (?P<said>.+) \| (?P<todo>.+) \|$")


@pytest.fixture(scope="module")
def written() -> str:
    return page()


def rows(text: str) -> Iterator[tuple[str, str, str]]:
    """The class or "codes", what is said, and what to do."""
    name = ""
    for line in text.splitlines():
        if line.startswith("##"):
            name = line.lstrip("# ").partition(" (")[0]
        elif (row := ROW.match(line)) and not line.startswith(("| what", "| ---", "| code")):
            yield name, row["said"], row["todo"]


def test_the_page_is_current(written: str) -> None:
    assert PAGE.read_text(encoding="utf-8") == written, "run scripts/write_errors_page.py"


def test_every_class_is_on_it(written: str) -> None:
    named = set(re.findall(r"^### (\w+) \(exit code", written, re.MULTILINE))
    ours = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, ImgtoolError)}
    assert ours <= named
    assert len(named) > 50


def test_a_remedy_goes_with_every_message(written: str) -> None:
    lacking = [
        (name, said)
        for name, said, todo in rows(written)
        if todo == "-" and name not in SAYS_IT_ITSELF and not said.endswith(("Did you mean: {value}", ": {error}"))
    ]
    assert lacking == []


def test_texts_are_plain(written: str) -> None:
    """A message is no sentence with a capital and a full stop, and blames nobody."""
    for name, said, _ in rows(written):
        if name != "Exit codes":
            assert not said.endswith("."), said
            assert not re.search(r"\b(please|sorry|oops|invalid|illegal)\b", said, re.IGNORECASE), said
