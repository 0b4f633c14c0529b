"""Barcodes and QR codes: drawn by zxing-cpp's writer and by OpenCV's, read back with their values and places."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import zxingcpp
from numpy.typing import NDArray

from imgtool.analyzers.codes.barcodes import read_barcodes

Grey = NDArray[np.uint8]


def drawn(value: str, symbology: str, module: int = 4) -> Grey:
    """A code with its quiet zone, (H, W) uint8."""
    code = zxingcpp.create_barcode(value, getattr(zxingcpp.BarcodeFormat, symbology))
    return np.asarray(np.pad(np.asarray(code.to_image(scale=module)), 10, constant_values=255), np.uint8)


def on_page(code: Grey, left: int, top: int, height: int = 900, width: int = 1200) -> Grey:
    page = np.full((height, width, 3), 245, np.uint8)
    page[top : top + code.shape[0], left : left + code.shape[1]] = code[..., None]
    return page


@pytest.mark.parametrize(
    ("symbology", "value", "kind", "read"),
    [
        ("QRCode", "https://example.org/안녕", "qr", "https://example.org/안녕"),
        ("EAN13", "590123412345", "ean13", "5901234123457"),
        ("EAN8", "9638507", "ean8", "96385074"),
        ("Code128", "ORDER-0042", "code128", "ORDER-0042"),
        ("DataMatrix", "LOT 7", "datamatrix", "LOT 7"),
        ("PDF417", "boarding pass", "pdf417", "boarding pass"),
        ("Aztec", "ticket", "aztec", "ticket"),
        ("DataBarOmni", "123456789012", "databaromni", "(01)01234567890128"),
        ("UPCA", "12345678901", "ean13", "0123456789012"),
        ("ITF", "09312345678907", "itf14", "09312345678907"),
    ],
)
def test_values_and_kinds(symbology: str, value: str, kind: str, read: str) -> None:
    (code,) = read_barcodes(on_page(drawn(value, symbology), 300, 200))
    assert (code.kind, code.value, code.checked) == (kind, read, True)
    assert 0.9 < code.confidence <= 1


def test_the_box_is_where_the_code_is() -> None:
    image = drawn("https://example.org", "QRCode", 6)
    (code,) = read_barcodes(on_page(image, 300, 200))
    quiet = 10 + 4 * 6
    expected = np.array([(300 + quiet, 200 + quiet), (300 + image.shape[1] - quiet, 200 + image.shape[0] - quiet)])
    assert np.abs(np.array([code.box[0], code.box[2]]) - expected).max() < 6


def test_several_codes_come_from_the_top_down() -> None:
    page = on_page(drawn("second", "QRCode"), 50, 500)
    first = drawn("590123412345", "EAN13")
    page[60 : 60 + first.shape[0], 500 : 500 + first.shape[1]] = first[..., None]
    assert [code.kind for code in read_barcodes(page)] == ["ean13", "qr"]
    assert read_barcodes(page, threads=2) == read_barcodes(page)


@pytest.mark.parametrize("degrees", [35, 45, 55])
@pytest.mark.parametrize("module", [2, 4])
def test_a_low_pale_barcode_that_slants_is_read(degrees: int, module: int) -> None:
    bars = np.maximum(drawn("590123412345", "EAN13", module)[: 26 * module], 150)
    turn = cv2.getRotationMatrix2D((500, 500), degrees, 1)
    page = on_page(bars, 500 - bars.shape[1] // 2, 480, 1000, 1000)
    turned = np.asarray(cv2.warpAffine(page, turn, (1000, 1000), borderValue=(245, 245, 245)), np.uint8)
    assert [code.value for code in read_barcodes(turned)] == ["5901234123457"]


@pytest.mark.parametrize("degrees", [0, 30, 45, 60, 90, 135, 180, 225, 270, 315])
def test_a_barcode_is_read_at_any_angle(degrees: int) -> None:
    page = on_page(drawn("590123412345", "EAN13", 4), 380, 400, 1200, 1200)
    turn = cv2.getRotationMatrix2D((600, 600), degrees, 1)
    turned = np.asarray(cv2.warpAffine(page, turn, (1200, 1200), borderValue=(245, 245, 245)), np.uint8)
    (code,) = read_barcodes(turned)
    assert code.value == "5901234123457"
    assert read_barcodes(turned, threads=2) == [code]
    middle = np.mean(code.box, axis=0)
    (upright,) = read_barcodes(page)
    expected = turn @ (*np.mean(upright.box, axis=0), 1)
    assert np.abs(middle - expected).max() < 40


def test_light_codes_on_dark_are_read() -> None:
    (code,) = read_barcodes(255 - on_page(drawn("dark mode", "QRCode"), 300, 200))
    assert code.value == "dark mode"


def test_a_payload_that_is_no_text_is_escaped() -> None:
    code = zxingcpp.create_barcode(bytes([0, 255, 254, 1]), zxingcpp.BarcodeFormat.QRCode)
    (found,) = read_barcodes(on_page(np.pad(np.asarray(code.to_image(scale=4)), 10, constant_values=255), 300, 200))
    assert found.value.isprintable()
    assert found.value


def test_symbologies_that_parts_of_others_are_taken_for_are_left_out() -> None:
    assert read_barcodes(on_page(drawn("123456789012", "ITF"), 300, 200)) == []
    assert read_barcodes(on_page(drawn("09312345678908", "ITF"), 300, 200)) == []  # a wrong check digit
    assert read_barcodes(on_page(drawn("0123456", "UPCE"), 300, 200)) == []


def test_what_only_looks_like_a_code_is_none() -> None:
    stripes = np.tile(np.repeat([0, 255], 7), 60)[None, :, None].repeat(600, 0).repeat(3, 2).astype(np.uint8)
    assert read_barcodes(stripes) == []
    assert read_barcodes(np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)) == []
    damaged = on_page(drawn("590123412345", "EAN13"), 300, 200)
    damaged[:, 420:440] = 0
    assert read_barcodes(damaged) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 40_000), (40_000, 1), (7, 7), (9, 9), (12, 50_000)])
def test_extreme_shapes(shape: tuple[int, int]) -> None:
    assert read_barcodes(np.zeros((*shape, 3), np.uint8)) == []


def test_a_very_large_scan_is_read() -> None:
    page = on_page(drawn("590123412345", "EAN13", 12), 2000, 3000, 12_000, 9_000)
    (code,) = read_barcodes(page)
    assert code.value == "5901234123457"
    assert 2000 < code.box[0][0] < 3500


def test_views_that_are_not_contiguous_are_read() -> None:
    page = on_page(drawn("590123412345", "EAN13"), 300, 200)
    assert [code.value for code in read_barcodes(np.rot90(page))] == ["5901234123457"]
    assert [code.value for code in read_barcodes(page[::-1])] == ["5901234123457"]
