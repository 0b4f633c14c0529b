"""What a file that is no image seems to be."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.engine.files.other_content import looks_like
from imgtool.image_formats import CAMERA_RAW, HEAD_BYTES, PLAIN_FORMATS, sniff

KNOWN = {"HEIF", "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JXL", "PDF", *PLAIN_FORMATS, *CAMERA_RAW}

FILM = struct.pack(">I", 20) + b"ftypisom\0\0\0\0avc1" + b"\0" * 44


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_have_a_format_or_a_description(head: bytes) -> None:
    assert sniff(head) in {None, *KNOWN}
    assert looks_like(head)


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
        (FILM, "video"),
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
