"""What a file that is no image seems to be."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.engine.files.other_content import looks_like, other_image
from imgtool.engine.files.problems import not_an_image
from imgtool.image_formats import CAMERA_RAW, HEAD_BYTES, PLAIN_FORMATS, sniff

KNOWN = {"HEIF", "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JXL", "PDF", "PAM", "PFM"}
KNOWN |= {*PLAIN_FORMATS, *CAMERA_RAW}

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


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (b"<!DOCTYPE html><html>404", "download or copy the image again"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "`git lfs pull`"),
        (b"\0" * 64, "download or copy the image again"),
        (b"8BPS\0\1", "convert it"),
        (b"Dear reader,", "convert it"),
    ],
)
def test_what_holds_no_image_cannot_be_converted(content: bytes, remedy: str) -> None:
    assert remedy in not_an_image(content).remedy


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"8BPS\0\1", "PSD"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9", "EPS"),
        (b"\xc5\xd0\xd3\xc6\x20\0\0\0", "EPS"),
        (b"DDS \x7c\0\0\0", "DDS"),
        (b"icns\0\0\1\0", "ICNS"),
        (b"gimp xcf file\0", "XCF"),
        (b"v/1\1\2\0\0\0", "EXR"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe", "HDR"),
        (b"AT&TFORM\0\0\0\x20DJVU", "DjVu"),
        (b"II\xbc\1\x08\0\0\0", "JPEG XR"),
        (b"\xd7\xcd\xc6\x9a\0\0", "WMF"),
        (b"\1\0\0\0" + bytes(36) + b" EMF", "EMF"),
        (b"\1\xda\1\1\0\3", "SGI"),
        (b"\x59\xa6\x6a\x95\0\0", "Sun raster"),
        (b"SIMPLE  =                    T", "FITS"),
        (bytes(128) + b"DICM\2\0", "DICOM"),
        (bytes((0x22, 0, 0, 0, 0x12, 0xAF)), "FLI"),
        (b"\0\0\0\x18ftypavci\0\0\0\0mif1avci", "HEIF"),
        (b"#define logo_width 16\n#define logo_height 16\nstatic char", "XBM"),
        (b"/* XPM */\nstatic char * x[] = {", "XPM"),
        (b"<svg viewBox='0 0 9 9'/>", "SVG"),
        (
            b'<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<!-- Created with a program -->\n\n<svg',
            "SVG",
        ),
        ("\ufeff<svg>".encode("utf-16"), "SVG"),
        (b"<html><svg></svg></html>", None),
        (b"Dear reader,\n", None),
        (b"PK\3\4", None),
        (b"", None),
    ],
)
def test_images_that_are_not_read_have_a_name(content: bytes, name: str | None) -> None:
    assert other_image(content) == name
    assert sniff(content) is None
    assert name is None or "image" in (words := looks_like(content)) or name.split()[0].lower() in words.lower()
