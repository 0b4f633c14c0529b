"""Formats by content: real files of every format, and the look-alikes."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imgtool.engine.files.sniff import HEAD_BYTES, IMAGE_SUFFIXES, looks_like, read_head, sniff, sniff_file

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


@pytest.mark.parametrize(
    ("head", "expected"),
    [
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
    ],
)
def test_signatures(head: bytes, expected: str) -> None:
    assert sniff(head) == expected


@pytest.mark.parametrize(
    "head",
    [
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
        b"%PDF-1.7\n",
        b"an ordinary text",
    ],
)
def test_look_alikes_are_no_images(head: bytes) -> None:
    assert sniff(head) is None


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_have_a_format_or_a_description(head: bytes) -> None:
    assert sniff(head) in {None, "HEIF", *FORMATS}
    assert looks_like(head)


@given(st.sampled_from(FORMATS), st.binary(max_size=200))
def test_only_the_first_bytes_count(name: str, tail: bytes) -> None:
    head = written(name)[:HEAD_BYTES]
    assert sniff(head + tail) == sniff(head) == name


@given(st.text())
def test_utf8_is_called_text_even_where_the_head_cuts_a_letter(text: str) -> None:
    words = "한글 ✓ " + "".join(letter for letter in text if letter.isprintable()) + "한" * HEAD_BYTES
    for shift in range(3):
        assert looks_like((b"." * shift + words.encode())[:HEAD_BYTES]) == "a text file"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Dear reader,\r\n", "text"),
        ("안녕하세요".encode(), "text"),
        ("grüße".encode("utf-16"), "text"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (b"PK\x03\x04\x14\0", "zip"),
        (ftyp(b"isom", b"avc1"), "video"),
        (b"\x1aE\xdf\xa3\x01\0\0", "video"),
        (b"RIFF\x10\0\0\0AVI LIST", "video"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b'<?xml version="1.0"?>\n<svg xmlns="', "SVG"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "Git LFS pointer"),
        (b"\0" * 64, "zero bytes"),
        (b"\x07\x91\x80\xfe\x00\x01", "unknown"),
        (b"\xe4\xf6\xfc", "unknown"),
        (b"", "empty"),
    ],
)
def test_what_is_no_image_is_called_by_its_name(content: bytes, words: str) -> None:
    assert words in looks_like(content[:HEAD_BYTES])


def test_suffixes_are_lower_case_with_their_dot() -> None:
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in IMAGE_SUFFIXES)
    assert {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic"} <= IMAGE_SUFFIXES


def test_no_more_than_the_head_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(bytes(range(200)))
    assert read_head(str(path)) == bytes(range(HEAD_BYTES))


def test_a_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sniff_file(str(tmp_path / "nothing"))
