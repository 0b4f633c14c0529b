"""Formats by content: real files of every format, look-alikes, and one table for the engine and the worker."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imgtool.engine.files.discover import ImageRef, RefusedPath, discover
from imgtool.image_formats import HEAD_BYTES, IMAGE_SUFFIXES, read_head, sniff, sniff_file
from imgtool.runtime.worker.decode import DecodeError, Decoder

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


def written(name: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), (200, 30, 90)).save(buffer, name, **how)
    return buffer.getvalue()


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return (struct.pack(">I", len(body) + 4) + body + b"\0\0\0\x20meta" + b"\0" * 64)[:HEAD_BYTES]


@pytest.mark.parametrize("name", FORMATS)
def test_what_pillow_writes_is_recognised_whatever_the_file_is_called(name: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(written(name))
    assert sniff_file(str(path)) == name


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_recognised_can_be_opened_as_that(name: str) -> None:
    head = written(name)
    assert sniff(head[:HEAD_BYTES]) == name
    with Image.open(io.BytesIO(head)) as image:
        assert image.format == name


SIGNATURES = [
    (b"II*\0\x08\0\0\0", "TIFF"),
    (b"MM\0*\0\0\0\x08", "TIFF"),
    (b"II+\0\x08\0\0\0", "TIFF"),
    (b"MM\0+\0\x08\0\0", "TIFF"),
    (b"GIF87a\x01\0", "GIF"),
    (ftyp(b"avif", b"mif1", b"miaf"), "AVIF"),
    (ftyp(b"avis", b"msf1"), "AVIF"),
    (ftyp(b"mif1", b"miaf", b"avif"), "AVIF"),
    (ftyp(b"msf1", b"avis"), "AVIF"),
    (ftyp(b"heic", b"mif1", b"heic"), "HEIF"),
    (ftyp(b"heix", b"mif1"), "HEIF"),
    (ftyp(b"hevc", b"msf1"), "HEIF"),
    (ftyp(b"hevx"), "HEIF"),
    (ftyp(b"heim"), "HEIF"),
    (ftyp(b"heis"), "HEIF"),
    (ftyp(b"mif1", b"heic"), "HEIF"),
    (ftyp(b"msf1"), "HEIF"),
    # What follows the box is not a brand of it, whatever it spells.
    (ftyp(b"mif1", b"heic")[:24] + b"avif" + b"\0" * 32, "HEIF"),
]


@pytest.mark.parametrize(("head", "expected"), SIGNATURES)
def test_signatures(head: bytes, expected: str) -> None:
    assert sniff(head) == expected


LOOK_ALIKES = [
    b"",
    b"\xff\xd8",
    b"\x89PNG",
    b"RIFF\x10\0\0\0AVI LIST",
    b"RIFF\x10\0\0\0WAVEfmt ",
    b"BMW is a maker of cars and motorcycles",
    b"BM",
    b"II was a king, and MM is two thousand",
    ftyp(b"isom", b"iso2", b"avc1", b"mp41"),
    ftyp(b"qt  "),
    ftyp(b"mp42", b"mif1"),
    b"an ordinary text",
]


@pytest.mark.parametrize("head", LOOK_ALIKES)
def test_look_alikes_are_no_images(head: bytes) -> None:
    assert sniff(head) is None


@given(st.sampled_from(FORMATS), st.binary(max_size=200))
def test_only_the_first_bytes_count(name: str, tail: bytes) -> None:
    head = written(name)[:HEAD_BYTES]
    assert sniff(head + tail) == sniff(head) == name


def test_suffixes_are_lower_case_with_their_dot() -> None:
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in IMAGE_SUFFIXES)
    assert {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic"} <= IMAGE_SUFFIXES


def test_no_more_than_the_head_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(bytes(range(256)) * 5)
    assert read_head(str(path)) == (bytes(range(256)) * 5)[:HEAD_BYTES]


def test_a_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sniff_file(str(tmp_path / "nothing"))


# What the two tables that there once were disagreed about: brands behind another major brand, wrong bitmap headers.
DISPUTED = [
    ftyp(b"mp42", b"mif1", b"avif"),
    ftyp(b"heic", b"avif"),
    ftyp(b"isom", b"heic"),
    b"BM" + b"\0" * 12 + b"\x11\0\0\0" + b"\0" * 40,
    b"MM*\0" + b"\0" * 60,
    b"II\0*" + b"\0" * 60,
]


@pytest.mark.parametrize("head", [*(head for head, _ in SIGNATURES), *filter(None, LOOK_ALIKES), *DISPUTED])
def test_the_engine_and_the_worker_agree_about_every_header(
    head: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.png"  # the suffix makes a folder's walk report it, whatever it is
    path.write_bytes(head)
    (found,) = discover([str(path)])
    chosen = isinstance(found, ImageRef) or found.problem.code == "heif_extra_missing"
    with pytest.raises(DecodeError) as caught:  # none of them is a whole image
        Decoder(1_000_000).decode(str(path))
    assert (caught.value.problem.code != "not_an_image") == chosen == (sniff(head) is not None)


def test_both_use_the_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"a new format")
    assert [type(each) for each in discover([str(path)])] == [RefusedPath]
    monkeypatch.setattr("imgtool.image_formats._SIGNATURES", {b"a new": "PNG"})
    assert [type(each) for each in discover([str(path)])] == [ImageRef]
    with pytest.raises(DecodeError) as caught:
        Decoder(1_000_000).decode(str(path))
    assert caught.value.problem.code != "not_an_image"
