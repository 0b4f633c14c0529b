"""Korean: read where something here can read it, and where nothing can, said in the result."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from imgtool.errors import ExitCode
from imgtool.weights.tesseract_languages import installed_languages
from tests.command import analyze
from tests.conftest import ROOT

NOTICE = ROOT / "examples" / "images" / "notice-ko.png"
LINES = {
    "입주민 여러분께 알려드립니다.",
    "아래와 같이 승강기 정기 점검을 실시하오니",
    "계단을 이용하여 주시기 바랍니다.",
    "불편을 드려 죄송합니다.",
    "행복아파트 관리사무소장",
}


def reads_korean() -> str:
    """Why the Tesseract of this machine cannot read Korean; empty where it can."""
    found = shutil.which("tesseract")
    if found is None:
        return "tesseract is not installed: apt-get install tesseract-ocr tesseract-ocr-kor"
    missing = {"kor", "eng"} - set(installed_languages(Path(found)))
    return f"tesseract has no language file for {', '.join(sorted(missing))}" if missing else ""


def text(tmp_path: Path, *flags: str, **environ: str) -> tuple[dict[str, Any], str]:
    """The answer about the notice on a machine without EasyOCR's files, and what was said on stderr."""
    nowhere: dict[str, Any] = {"EASYOCR_MODULE_PATH": str(tmp_path), **environ}
    done = analyze(NOTICE, "--tasks", "text", "--no-cache", *flags, **nowhere)
    assert done.code is ExitCode.OK, done.err
    return done.results[0]["tasks"]["text"], done.err


@pytest.mark.skipif(bool(reads_korean()), reason=reads_korean())
def test_tesseract_reads_it_where_easyocr_is_not_here(tmp_path: Path) -> None:
    answer, said = text(tmp_path)
    assert (answer["engine"], answer["stands_in_for"]) == ("tesseract", "easyocr")
    assert {line["text"] for line in answer["value"]} >= LINES
    assert said.count("tesseract stands in for easyocr") == 1
    assert "cannot read" not in (answer["notice"] or "")


def test_where_nothing_reads_it_the_answer_says_so(tmp_path: Path) -> None:
    answer, said = text(tmp_path, PATH=str(tmp_path))
    assert (answer["engine"], answer["stands_in_for"]) == ("rapidocr", "easyocr")
    assert "rapidocr cannot read ko" in answer["notice"]
    assert said.count("rapidocr cannot read ko") == 1
    # No Hangul is made up, and what it can read is still there.
    assert not any("가" <= letter <= "힣" for line in answer["value"] for letter in line["text"])


def test_strict_rather_fails(tmp_path: Path) -> None:
    nowhere: dict[str, Any] = {"EASYOCR_MODULE_PATH": str(tmp_path), "PATH": str(tmp_path)}
    done = analyze(NOTICE, "--tasks", "text", "--strict", **nowhere)
    assert done.code is ExitCode.MODEL_MISSING
    assert not done.out


@pytest.mark.skipif(bool(reads_korean()), reason=reads_korean())
def test_what_tesseract_misses_in_latin_script_is_read_by_rapidocr(tmp_path: Path) -> None:
    sign = NOTICE.with_name("street-sign.jpg")
    done = analyze(sign, "-t", "text", "--no-cache", EASYOCR_MODULE_PATH=str(tmp_path))
    (result,) = done.results
    assert [line["text"] for line in result["tasks"]["text"]["value"]] == ["MAPLE STREET", "HARBOUR AVE", "ONE WAY"]
    assert "rapidocr adds lines that it misses" in result["tasks"]["text"]["notice"]
