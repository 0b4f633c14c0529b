"""Why a path cannot be analyzed: what is wrong, and a remedy that fits it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from imgtool.engine.files import problems


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "permission_denied"),
        (errno.EPERM, "permission_denied"),
        (errno.ELOOP, "not_found"),
        (errno.ENAMETOOLONG, "not_found"),
        (errno.ENOENT, "not_found"),
        (errno.ESTALE, "unreadable"),
        (errno.EIO, "unreadable"),
    ],
)
def test_every_error_of_the_system_has_a_code_and_a_remedy(number: int, code: str, tmp_path: Path) -> None:
    problem = problems.from_os_error(OSError(number, os.strerror(number)), str(tmp_path / "a.png"))
    assert problem.code == code
    assert problem.message and problem.remedy


def test_a_misspelt_path_gets_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "Receipts").mkdir()
    (tmp_path / "Receipts" / "march.png").touch()
    assert (
        str(tmp_path / "Receipts" / "march.png") in problems.misspelt(str(tmp_path / "receipts" / "march.png")).remedy
    )
    assert "did you mean" in problems.misspelt(str(tmp_path / "Receipts" / "march.jpg")).remedy
    assert "has nothing of that name" in problems.misspelt(str(tmp_path / "Receipts" / "zebra.gif")).remedy
    assert "there is no folder" in problems.misspelt(str(tmp_path / "zebra" / "march.png")).remedy
    assert "is no folder" in problems.misspelt(str(tmp_path / "Receipts" / "march.png" / "x")).message


def test_what_is_neither_file_nor_folder_is_named() -> None:
    assert "a named pipe" in problems.not_a_file(stat.S_IFIFO).message
    assert "a socket" in problems.not_a_file(stat.S_IFSOCK).message
    assert "a device" in problems.not_a_file(stat.S_IFCHR).message


def test_what_is_shown_is_valid_unicode_without_control_characters() -> None:
    assert problems.shown(os.fsdecode(b"caf\xe9\n.png")) == "caf\\xe9\\n.png"


def test_a_link_that_cannot_be_read_is_no_failure_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> str:
        raise FileNotFoundError(2, "No such file or directory", path)

    link = tmp_path / "link"
    link.symlink_to("nowhere")
    monkeypatch.setattr(os, "readlink", refused)
    assert problems.misspelt(str(link)).code == "not_found"
