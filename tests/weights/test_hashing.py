"""Hashes of files, what a publisher states about them, and whether a file was written to since it was hashed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from imgtool.weights.hashing import ExpectedFile, is_untouched, measure, sampled_sha256

CONTENT = b"weights" * 1000
GIT = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT, usedforsecurity=False).hexdigest()


def test_only_the_hashes_that_are_stated_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(CONTENT)
    plain, whole = measure(path), measure(path, ExpectedFile(md5="x", git="y"))
    assert plain.sha256 == whole.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (plain.size, plain.md5, plain.git, plain.mtime_ns) == (7000, "", "", path.stat().st_mtime_ns)
    assert (whole.md5, whole.git) == (hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(), GIT)


def test_a_difference_is_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(CONTENT)
    found = measure(path, ExpectedFile(git=GIT))
    assert ExpectedFile(size=7000, git=GIT).difference(found) == ExpectedFile().difference(found) == ""
    assert ExpectedFile(size=1).difference(found) == "it has 7000 bytes instead of 1"
    assert ExpectedFile(sha256="0").difference(found) == f"its SHA-256 is {found.sha256} instead of 0"


@pytest.mark.parametrize(
    ("hashed", "found", "untouched"),
    [
        (5_000_000_007, 5_000_000_007, True),
        (5_000_000_007, 5_000_000_008, False),
        (0, 5_000_000_008, True),
        (5_000_000_007, 5_000_000_000, True),  # an archive has cut the fraction off
        (5_000_000_007, 4_000_000_000, False),
        (5_000_000_000, 5_000_000_007, False),
    ],
)
def test_times_tell_whether_a_file_was_written_to(hashed: int, found: int, untouched: bool) -> None:
    assert is_untouched(hashed, found) is untouched


def test_samples_see_another_file_and_not_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "w"
    large = bytearray(b"a" * 2_000_000)
    path.write_bytes(large)
    former = sampled_sha256([path])
    large[-1] ^= 1
    path.write_bytes(large)
    assert sampled_sha256([path]) != former
    large[-1] ^= 1
    large[5000] ^= 1  # between two blocks
    path.write_bytes(large)
    assert sampled_sha256([path]) == former
