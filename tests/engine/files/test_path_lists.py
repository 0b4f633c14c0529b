"""Lists of paths: any bytes, any end of line, read as they are written, and never a whole file as one path."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from imgtool.engine.files.path_lists import read_list
from imgtool.errors import ExitCode, PathMissing, UsageProblem
from tests import pictures
from tests.command import analyze
from tests.conftest import ROOT

# The names under test are strings, as lists are read.
# ruff: noqa: PTH102, PTH208


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths in a test are paths in its own folder."""
    monkeypatch.chdir(tmp_path)


def listed(content: bytes, nul: bool = False) -> list[str]:
    Path("list").write_bytes(content)
    return list(read_list("list", nul))


def test_lists_by_line() -> None:
    content = b"\xef\xbb\xbfa.jpg\r\n\r\n  \n# b.jpg\n~/c.jpg\n d .jpg \ncaf\xe9.jpg\nlast"
    expected = ["a.jpg", "# b.jpg", "~/c.jpg", " d .jpg ", os.fsdecode(b"caf\xe9.jpg"), "last"]
    assert listed(content) == expected


def test_lists_by_nul() -> None:
    assert listed(b"a\nb.jpg\0\0c.jpg\r\0 \0last", nul=True) == ["a\nb.jpg", "c.jpg\r", " ", "last"]
    assert listed(b"", nul=True) == listed(b"\0", nul=True) == []


FILE_NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name)


@given(st.lists(FILE_NAMES), st.booleans())
def test_what_is_written_with_nuls_is_read_back(names: list[bytes], closed: bool) -> None:
    # One name that ends with a newline is taken for a list by line.
    assume(closed or len(names) != 1 or not names[0].endswith(b"\n"))
    content = b"\0".join(names) + (b"\0" if closed else b"")
    expected = [*names]
    if names:
        expected[0] = names[0].removeprefix(b"\xef\xbb\xbf")
    assert [os.fsencode(path) for path in listed(content, nul=True)] == [name for name in expected if name]


@given(st.lists(FILE_NAMES.filter(lambda name: b"\n" not in name and not name.endswith(b"\r") and name.strip())))
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_what_is_written_by_line_is_read_back(end: bytes, names: list[bytes]) -> None:
    content = b"\xef\xbb\xbf" + end.join(names) + end
    assert [os.fsencode(path) for path in listed(content)] == names


def test_entries_longer_than_a_chunk_are_whole() -> None:
    names = ["x" * 70_000, "y" * 200_000, "z"]
    assert listed("\0".join(names).encode(), nul=True) == names


def test_a_missing_list_is_said_at_once() -> None:
    with pytest.raises(PathMissing, match=r"nowhere\.txt") as caught:
        read_list("nowhere.txt")
    assert caught.value.remedy


def test_a_folder_is_no_list() -> None:
    os.mkdir("p")
    with pytest.raises(UsageProblem, match="cannot be read"):
        read_list("p")


@pytest.mark.parametrize("nul", [False, True])
def test_a_list_is_read_as_it_is_written(nul: bool) -> None:
    os.mkfifo("list")
    taken = threading.Event()
    end = b"\0" if nul else b"\n"

    def write() -> None:
        with open("list", "wb", buffering=0) as pipe:
            pipe.write(b"first" + end)
            taken.wait(10)
            pipe.write(b"second" + end)

    writer = threading.Thread(target=write)
    writer.start()
    paths = read_list("list", nul)
    assert next(paths) == "first"
    taken.set()
    assert list(paths) == ["second"]
    writer.join()


def test_a_list_that_is_not_read_to_its_end_is_closed() -> None:
    Path("list").write_bytes(b"a\nb\n")
    paths = read_list("list")
    assert next(itertools.islice(paths, 1)) == "a"
    before = len(os.listdir("/dev/fd"))
    del paths
    assert len(os.listdir("/dev/fd")) == before - 1


READ_STDIN = (
    "import sys; from imgtool.engine.files.path_lists import read_list; print(list(read_list('-', len(sys.argv) > 1)))"
)


@pytest.mark.parametrize(("flags", "content"), [((), b"a.jpg\nb\xff.jpg\n"), (("-0",), b"a.jpg\0b\xff.jpg\0")])
def test_standard_input_is_a_list(flags: tuple[str, ...], content: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ_STDIN, *flags],
        input=content,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip() == b"['a.jpg', 'b\\udcff.jpg']"


@pytest.mark.parametrize("nul", [False, True])
def test_an_endless_entry_is_refused_before_it_is_read_to_its_end(nul: bool) -> None:
    os.mkfifo("list")

    def write_without_end() -> None:
        with Path("list").open("wb", buffering=0) as pipe, suppress(BrokenPipeError):
            pipe.write(b"a.jpg" + (b"\0" if nul else b"\n"))
            while True:
                pipe.write(b"x" * 65_536)

    writer = threading.Thread(target=write_without_end)
    writer.start()
    paths = read_list("list", nul)
    assert next(paths) == "a.jpg"
    with pytest.raises(UsageProblem, match="entry 2 of the list list is longer than any path") as caught:
        next(paths)
    writer.join(10)
    assert not writer.is_alive(), "the list is still open"
    assert "-0" in caught.value.remedy


def test_a_picture_given_as_a_list_ends_the_run_with_what_was_wrong(tmp_path: Path) -> None:
    pictures.flat(tmp_path / "a.png")
    Path("list").write_bytes(b"a.png\n" + b"\x89PNG" * 500_000)
    done = analyze("--from-file", "list", "-t", "caption", "--caption-engine", "tests.planted:Hazard")
    assert done.code is ExitCode.USAGE
    assert "entry 2 of the list list" in done.err


HAZARD = ("-t", "caption", "--caption-engine", "tests.planted:Hazard")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".bmp", ".tif", ".webp", ".avif"])
def test_an_image_that_is_piped_in_is_analyzed(tmp_path: Path, suffix: str) -> None:
    content = pictures.flat(tmp_path / f"a{suffix}").read_bytes()
    done = imgtool_with(content, "analyze", "-", *HAZARD, "-f", "jsonl")
    (result,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, result["path"], result["status"]) == (0, "-", "ok")
    assert (result["file_size"], result["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_all_pages_that_are_piped_in_are_analyzed(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (40, 30), (50 * number, 9, 9)) for number in range(3)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    done = imgtool_with((tmp_path / "a.tif").read_bytes(), "analyze", "-", *HAZARD, "-f", "jsonl", "--pages", "all")
    assert [json.loads(line)["page"] for line in done.stdout.splitlines()] == [0, 1, 2]


def test_a_list_that_begins_with_a_word_like_an_image_is_a_list() -> None:
    for content in (b"GIF89a\nBM\nRIFF\n", b"II*\n", b"%!PS\n"):
        assert listed(content) == content.decode().split()


def test_an_image_that_is_given_as_a_list_is_refused(tmp_path: Path) -> None:
    pictures.flat(Path("photo.png"))
    with pytest.raises(UsageProblem, match="is an image") as caught:
        list(read_list("photo.png"))
    assert "imgtool analyze photo.png" in caught.value.remedy


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_list_in_utf16_is_refused_by_that_name(encoding: str) -> None:
    content = "photo.jpg\r\n".encode(encoding)
    if encoding == "utf-16-be":
        content = b"\xfe\xff" + content
    with pytest.raises(UsageProblem, match="UTF-16") as caught:
        listed(content)
    assert "iconv" in caught.value.remedy


def imgtool_with(content: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "imgtool", *arguments], input=content, capture_output=True, check=False, timeout=120
    )


def test_a_list_with_the_other_separator_says_which_option_is_wrong() -> None:
    with pytest.raises(UsageProblem, match="has no NUL byte") as caught:
        listed(b"a.jpg\nb.jpg\n", nul=True)
    assert "leave out -0" in caught.value.remedy
    with pytest.raises(UsageProblem, match="has NUL bytes") as caught:
        listed(b"a.jpg\0b.jpg\0")
    assert "-0" in caught.value.remedy
    done = imgtool_with(b"", "analyze", "-0", "list")
    assert (done.returncode, b"-0" in done.stderr) == (ExitCode.USAGE, True)
