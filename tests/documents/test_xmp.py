"""XMP sidecars, as exiftool and a reader of XML see them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from imgtool.documents.xmp import XmpForm
from imgtool.types import ImageResult
from tests.results import answered, any_result, caption, failed, labels, text

etree = pytest.importorskip("lxml.etree")
EXIFTOOL = shutil.which("exiftool")


def write(place: Path, *results: ImageResult) -> bool:
    writer = XmpForm().begin(place, results[0])
    for result in results:
        writer.add(result)
    return writer.close()


@pytest.mark.skipif(EXIFTOOL is None, reason="exiftool is not installed")
def test_exiftool_reads_caption_and_keywords(tmp_path: Path) -> None:
    sentence = 'Ein "Hafen" <bei> Nacht & 부산 항구 😀'
    result = answered(caption=caption(sentence), labels=labels(**{"harbour & sea": 0.9, "사진": 0.5, "dog": 0.49}))
    assert write(tmp_path / "a.xmp", result)
    command = [str(EXIFTOOL), "-json", "-validate", "-warning", "-error", "-XMP:all", tmp_path / "a.xmp"]
    (found,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found["Description"] == sentence
    assert found["Subject"] == ["harbour & sea", "사진"]
    assert found["Validate"] == "OK"
    assert found["XMPToolkit"].startswith("imgtool ")


def test_pages_are_taken_together(tmp_path: Path) -> None:
    pages = [
        replace(answered(labels=labels(sign=0.9)), pages=3),
        replace(answered(caption=caption("Second."), labels=labels(sign=0.8, photo=0.7)), page=1, pages=3),
        replace(answered(caption=caption("Third.")), page=2, pages=3),
    ]
    assert write(tmp_path / "a.xmp", *pages)
    values = [item.text for item in etree.parse(tmp_path / "a.xmp").iter("{*}li")]
    assert values == ["Second.", "sign", "photo"]


def test_nothing_to_say_is_no_sidecar(tmp_path: Path) -> None:
    assert not write(tmp_path / "a.xmp", answered(text=text("words"), labels=labels(dog=0.1)))
    assert not write(tmp_path / "a.xmp", failed())


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(any_result())
def test_any_result_is_well_formed(tmp_path: Path, result: ImageResult) -> None:
    write(tmp_path / "a.xmp", result)
    etree.parse(tmp_path / "a.xmp")
