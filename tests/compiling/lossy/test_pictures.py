"""Pictures to adjust on and to judge by: the same every time, and never the same for both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgtool.compiling.lossy.pictures import pictures


def test_they_are_the_same_every_time_and_differ_from_each_other() -> None:
    one, other = pictures(), pictures()
    every = [*one.calibration, *one.test]
    assert all(np.array_equal(a, b) for a, b in zip(every, [*other.calibration, *other.test], strict=True))
    assert len({picture.tobytes() for picture in every}) == len(every) == 36
    assert all(picture.dtype == np.uint8 and picture.shape[2] == 3 for picture in every)
    assert all(picture.std() > 8 for picture in every), "something is to be seen on each"
    assert one.origin == "18 drawn pictures"


def test_a_folder_is_halved(tmp_path: Path) -> None:
    for number in range(6):
        Image.new("RGB", (20 + number, 10), (40 * number, 0, 0)).save(tmp_path / f"{number}.png")
    Image.new("L", (3000, 1500), 9).save(tmp_path / "7.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "cut.png").write_bytes((tmp_path / "7.png").read_bytes()[:60])
    (tmp_path / "below").mkdir()
    found = pictures(tmp_path)
    own = found.calibration[18:], found.test[18:]
    assert [picture.shape[1] for picture in own[0]] == [20, 22, 24, 1280]
    assert [picture.shape[1] for picture in own[1]] == [21, 23, 25]
    assert found.origin == f"18 drawn pictures and 3 of {tmp_path}"


def test_of_a_large_folder_some_are_taken(tmp_path: Path) -> None:
    for number in range(100):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"{number:03}.png")
    found = pictures(tmp_path)
    assert len(found.calibration) + len(found.test) - 36 == 48


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pictures(tmp_path / "none")
