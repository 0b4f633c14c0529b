"""PDF: pages as images, a document's own text, what is wrong told apart."""

from __future__ import annotations

import hashlib
import io
import sys

import pytest
from PIL import Image

from imgtool.distribution import install_command
from imgtool.runtime.worker.decode import DecodeError, Decoder


def document(content: bytes, more: bytes = b"") -> bytes:
    """A page of 200 x 100 points with that content stream."""
    return (
        b"%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj "
        b"4 0 obj<</Length %d>>stream\n%s\nendstream endobj "
        % (len(content), content)
        + b"5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n"
        + more
        + b"trailer<</Root 1 0 R>>\n%%EOF"
    )


PAD = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def rc4(key: bytes, data: bytes) -> bytes:
    box, j = list(range(256)), 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    found, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        found.append(byte ^ box[(box[i] + box[j]) % 256])
    return bytes(found)


def encrypted(content: bytes, password: bytes) -> bytes:
    """A document that the user opens with ``password``, in the oldest way of encryption (PDF 1.4, 3.5: revision 2)."""
    owner, name = b"O" * 32, b"0123456789abcdef"
    padded = (password + PAD)[:32]
    key = hashlib.md5(padded + owner + (-4).to_bytes(4, "little", signed=True) + name).digest()[:5]
    of_stream = hashlib.md5(key + b"\4\0\0\0\0").digest()[:10]
    how = b"<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>" % (
        owner.hex().encode(),
        rc4(key, PAD).hex().encode(),
    )
    plain = document(rc4(of_stream, content))
    return plain.replace(
        b"<</Root 1 0 R>>", b"<</Root 1 0 R/ID[<%s><%s>]/Encrypt %s>>" % (*(name.hex().encode(),) * 2, how)
    )


def test_an_encrypted_document_is_told_from_a_damaged_one() -> None:
    text = b"BT /F 20 Tf 20 60 Td (HELLO 42) Tj ET"
    with pytest.raises(DecodeError, match="encrypted with a password") as caught:
        Decoder(10**8).decode_bytes(encrypted(text, b"secret"))
    assert caught.value.problem.code == "encrypted" and "password" in caught.value.problem.remedy
    # One that only forbids printing opens without a password.
    (line,) = Decoder(10**8).decode_bytes(encrypted(text, b"")).text
    assert line.text == "HELLO 42"


def test_a_born_digital_page_has_its_own_text() -> None:
    page = Decoder(10**8, pdf_dpi=144).decode_bytes(document(b"BT /F 20 Tf 20 60 Td (HELLO 42) Tj ET"))
    assert (page.format, page.width, page.height, page.pages) == ("PDF", 400, 200, 1)
    (line,) = page.text
    assert line.text == "HELLO 42"
    (left, top), _, (right, bottom), _ = line.box
    assert 35 < left < 50 and 40 < top < bottom < 90 and right < 300
    assert page.notice is not None and (page.pixels < 99).any()


def test_a_scan_is_a_picture() -> None:
    held = io.BytesIO()
    sheets = [Image.new("RGB", (100, 150), (200, n, 0)) for n in (10, 90)]
    sheets[0].save(held, "PDF", save_all=True, append_images=sheets[1:])
    decoder = Decoder(10**8)
    for number, level in enumerate((10, 90)):
        page = decoder.decode_bytes(held.getvalue(), number)
        assert (page.pages, page.text, page.notice) == (2, (), None)
        assert abs(int(page.pixels[50, 50, 1]) - level) < 4


def test_what_is_wrong() -> None:
    cases = {b"%PDF-1.7\n": "damaged"}
    for content, code in cases.items():
        with pytest.raises(DecodeError) as caught:
            Decoder(10**8).decode_bytes(content)
        assert caught.value.problem.code == code
    with pytest.raises(DecodeError) as caught:
        Decoder(100).decode_bytes(document(b""))
    assert caught.value.problem.code == "too_many_pixels"


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(DecodeError) as caught:
        Decoder(10**8).decode_bytes(document(b""))
    assert caught.value.problem.remedy == install_command("pdf")


@pytest.mark.parametrize("name", ["a.jp2", "a.ppm", "a.pgm", "a.qoi", "a.ico", "a.pcx", "a.jxl"])
def test_rare_formats(name: str) -> None:
    import pillow_jxl  # noqa: F401

    held = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 40, 40)).convert("L" if name == "a.pgm" else "RGB").save(
        held, Image.registered_extensions()[name[1:]]
    )
    page = Decoder(10**8).decode_bytes(held.getvalue())
    assert (page.width, page.height) == (64, 64)
    assert abs(int(page.pixels[30, 30, 0]) - (88 if name == "a.pgm" else 200)) < 4
