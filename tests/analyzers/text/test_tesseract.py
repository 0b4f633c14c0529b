"""Tesseract: its TSV and its language files as data, and the installed program on a drawn page."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from imgtool.analyzers.text.tesseract import Tesseract, _filled
from imgtool.analyzers.text.tesseract_tsv import HEADER, DamagedOutput, join_words, parse_lines
from imgtool.errors import ModelLoadFailed, ModelMissing
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions
from imgtool.types import Problem, TextLine
from imgtool.weights.tesseract_languages import installed_languages, spoken_names, tesseract_code
from tests.conftest import ROOT

# The first holds the glyphs of the example pictures only; the Korean sentences are theirs.
FONTS = (
    ROOT / "examples" / "fonts" / "gothic.ttf",
    Path("/usr/share/fonts/truetype/nanum/NanumGothic.ttf"),
)


def row(line: int, word: int, box: tuple[int, int, int, int], confidence: float, text: str, block: int = 1) -> str:
    place = f"5\t1\t{block}\t1\t{line}\t{word}"
    return "\t".join([place, *map(str, box), str(confidence), text])


def output(*rows: str) -> str:
    return "\n".join([HEADER, *rows, ""])


class TestLines:
    def test_words_of_a_line_are_joined(self) -> None:
        rows = [
            "1\t1\t0\t0\t0\t0\t0\t0\t200\t100\t-1\t",
            "4\t1\t1\t1\t1\t0\t10\t20\t80\t15\t-1\t",
            row(1, 1, (10, 20, 30, 15), 90.0, "Hello"),
            row(1, 2, (50, 22, 40, 14), 70.0, "world"),
            row(2, 1, (10, 50, 30, 15), 96.5, "안녕"),
        ]
        first, second = parse_lines(output(*rows), 200, 100)
        assert first.text == "Hello world"
        assert first.confidence == pytest.approx(0.8)
        assert first.box == ((10, 20), (90, 20), (90, 35), (10, 35))
        assert second.box == ((10, 50), (40, 50), (40, 65), (10, 65))
        assert (second.text, second.confidence) == ("안녕", pytest.approx(0.965))

    def test_the_same_line_number_of_another_block_is_another_line(self) -> None:
        rows = [row(1, 1, (0, 0, 9, 9), 90, "a"), row(1, 1, (0, 20, 9, 9), 90, "b", block=2)]
        assert [line.text for line in parse_lines(output(*rows), 50, 50)] == ["a", "b"]

    def test_words_of_spaces_and_unsure_of_being_words_are_left_out(self) -> None:
        rows = [row(1, 1, (0, 0, 9, 9), 95, " "), row(1, 2, (0, 0, 9, 9), -1, "x"), row(1, 3, (9, 0, 9, 9), 50, "y")]
        (line,) = parse_lines(output(*rows), 50, 50)
        assert (line.text, line.confidence) == ("y", 0.5)

    def test_boxes_stay_inside_the_picture(self) -> None:
        (line,) = parse_lines(output(row(1, 1, (-3, -2, 300, 400), 90, "a")), 20, 10)
        assert line.box == ((0, 0), (20, 0), (20, 10), (0, 10))

    def test_a_quote_or_a_line_separator_in_a_word_is_part_of_it(self) -> None:
        (line,) = parse_lines(output(row(1, 1, (0, 0, 9, 9), 90, '"a\u2028b')), 20, 10)
        assert line.text == '"a\u2028b'

    def test_spaces_are_those_of_the_plain_text(self) -> None:
        rows = [row(1, n, (9 * n, 0, 9, 9), 90, part) for n, part in enumerate(["입", "주민", "여러", "분"], 1)]
        rows += [row(2, n, (9 * n, 20, 9, 9), 90, part) for n, part in enumerate(["and", "so", "on"], 1)]
        text = "other\n\n입주민   여러분\n\nand s o on?\n\f"
        assert [line.text for line in parse_lines(output(*rows) + text, 50, 50)] == ["입주민 여러분", "and so on"]

    def test_a_line_of_text_serves_one_line_of_words(self) -> None:
        rows = [row(n, w, (9 * w, 9 * n, 9, 9), 90, part) for n in (1, 2, 3) for w, part in enumerate("ab", 1)]
        text = "a b\nab\n"
        assert [line.text for line in parse_lines(output(*rows) + text, 50, 50)] == ["a b", "ab", "a b"]

    def test_an_empty_page(self) -> None:
        assert parse_lines(output("1\t1\t0\t0\t0\t0\t0\t0\t1\t1\t-1\t"), 1, 1) == []
        assert parse_lines(output(), 1, 1) == []

    @pytest.mark.parametrize(
        "damaged",
        [
            "",
            "no header\n",
            output(row(1, 1, (0, 0, 9, 9), 90, "a")).rstrip("\n"),
            output("5\t1\t1"),
            output(row(1, 1, (0, 0, 9, 9), 90, "a").replace("90", "high")),
            output(row(1, 1, (0, 0, 9, 9), 90, "a") + "\tmore"),
        ],
    )
    def test_damaged_output_is_refused(self, damaged: str) -> None:
        with pytest.raises(DamagedOutput):
            parse_lines(damaged, 10, 10)

    @given(st.text())
    def test_any_text_gives_lines_or_damage(self, text: str) -> None:
        for candidate in (text, output(text), output(*text.split("|"))):
            try:
                lines = parse_lines(candidate, 10, 10)
            except DamagedOutput:
                continue
            assert all(0 <= line.confidence <= 1 and line.text for line in lines)

    @given(st.lists(st.tuples(st.integers(-20, 120), st.integers(-20, 120), st.integers(0, 99), st.integers(0, 99))))
    def test_any_boxes_come_out_inside(self, boxes: list[tuple[int, int, int, int]]) -> None:
        rows = [row(number, 1, box, 50, "w") for number, box in enumerate(boxes, 1)]
        for line in parse_lines(output(*rows), 100, 80):
            assert all(0 <= x <= 100 and 0 <= y <= 80 for x, y in line.box)
            (left, top), _, (right, bottom), _ = line.box
            assert left <= right and top <= bottom

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (["a", "b"], "a b"),
            (["안녕", "세상"], "안녕 세상"),
            (["日", "本", "語"], "日本語"),
            (["価格", "100", "円"], "価格 100 円"),
            ([], ""),
        ],
    )
    def test_spaces_where_the_script_has_them(self, words: list[str], line: str) -> None:
        assert join_words(words) == line


class TestLanguages:
    @pytest.mark.parametrize(
        ("language", "code"),
        [("ko", "kor"), ("EN", "eng"), ("zh-TW", "chi_tra"), ("ch_sim", "chi_sim"), ("kor_vert", "kor_vert")],
    )
    def test_codes(self, language: str, code: str) -> None:
        assert tesseract_code(language) == code

    def test_the_folder_that_the_environment_names(self, tmp_path: Path) -> None:
        for name in ("kor", "chi_tra", "osd"):
            (tmp_path / f"{name}.traineddata").write_bytes(b"x")
        found = installed_languages(Path("/usr/bin/nothing"), {"TESSDATA_PREFIX": str(tmp_path)})
        assert set(found) == {"kor", "chi_tra"}
        assert {"ko", "kor", "zh-tw", "zh_tw", "ch_tra", "chi_tra"} <= set(spoken_names(found))
        assert "zh" not in spoken_names(found)

    def test_the_folder_beside_the_program(self, tmp_path: Path) -> None:
        data = tmp_path / "share" / "tesseract-ocr" / "5" / "tessdata"
        data.mkdir(parents=True)
        (data / "jpn.traineddata").write_bytes(b"x")
        assert set(installed_languages(tmp_path / "bin" / "tesseract", {})) == {"jpn"}

    def test_a_program_that_keeps_them_elsewhere_is_asked(self, tmp_path: Path) -> None:
        program = script(tmp_path / "tesseract", 'echo "List of available languages (2):"; echo eng; echo osd')
        assert installed_languages(program, {}) == {"eng": None}

    def test_a_program_that_does_not_run_has_none(self, tmp_path: Path) -> None:
        assert installed_languages(tmp_path / "tesseract", {}) == {}


def script(path: Path, body: str) -> Path:
    """A program that takes the place of tesseract."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is first on the PATH, and language files for English and Korean."""
    data = tmp_path / "data"
    data.mkdir()
    for code in ("eng", "kor"):
        (data / f"{code}.traineddata").write_bytes(code.encode())
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("TESSDATA_PREFIX", str(data))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return programs


def lowest(corners: Iterable[Iterable[float]]) -> tuple[int, ...]:
    return tuple(int(min(each)) for each in corners)


def highest(corners: Iterable[Iterable[float]]) -> tuple[int, ...]:
    return tuple(int(max(each)) + 1 for each in corners)


def blank(width: int = 8, height: int = 6) -> Picture:
    return Picture(np.full((height, width, 3), 255, dtype=np.uint8), width, height, "PNG")


class TestBesideRapidOcr:
    """Where Tesseract only stands in, what it misses in Latin script is read by RapidOCR."""

    @pytest.mark.parametrize(
        ("given", "is_beside"),
        [
            ({}, True),
            ({"text_engine": "easyocr"}, True),
            ({"text_engine": "tesseract"}, False),
            ({"languages": ("ko",)}, False),
            ({"languages": ("en",)}, False),
            ({"ocr": {"psm": 6}}, False),
            ({"ocr": {"order": "raw"}}, False),
        ],
    )
    def test_when(self, planted: Path, given: dict[str, Any], is_beside: bool) -> None:
        options = EngineOptions(**{"languages": ("ko", "en"), **given})
        parameters = Tesseract.parameters(options)
        assert ("beside" in parameters) is is_beside
        assert ("rapidocr" in Tesseract.probe(options).notice) is is_beside
        assert "cleaned" not in parameters.get("beside", {})

    def test_lines_fill_places_and_replace_doubts_alone(self) -> None:
        def line(text: str, top: float, confidence: float = 0.95, doubt: str | None = None) -> TextLine:
            return TextLine(text, confidence, ((0, top), (200, top), (200, top + 20), (0, top + 20)), doubt)

        own = (line("안내문", 0), line("rnaple", 100, 0.3, "unlikely"), line("3월 16일", 200))
        other = (
            line("2HL|", 2),
            line("MAPLE", 101),
            line("ONE WAY", 300),
            line("unsure", 400, 0.7),
            line("x", 500, 1, "no"),
        )
        assert [each.text for each in _filled(own, other)] == ["안내문", "MAPLE", "3월 16일", "ONE WAY"]
        assert _filled(own, (line("2HL|", 2),)) is own


class TestProgram:
    def test_what_the_probe_tells(self, planted: Path) -> None:
        script(planted / "tesseract", "echo tesseract 9.8.7")
        probe = Tesseract.probe(EngineOptions(languages=("ko", "el", "en")))
        assert probe.available
        assert (probe.model, probe.size_bytes) == ("kor+eng", 6)
        assert probe.model_version.startswith("tesseract 9.8.7, ")
        assert {"ko", "en"} <= set(probe.languages)
        assert "el" not in probe.languages

    def test_another_language_file_is_another_version(self, planted: Path, tmp_path: Path) -> None:
        script(planted / "tesseract", "echo tesseract 9.8.7")
        before = Tesseract.probe(EngineOptions()).model_version
        (tmp_path / "data" / "kor.traineddata").write_bytes(b"KOR")
        assert Tesseract.probe(EngineOptions()).model_version != before

    def test_without_the_languages_it_is_not_available(self, planted: Path) -> None:
        script(planted / "tesseract", "echo tesseract 9.8.7")
        probe = Tesseract.probe(EngineOptions(languages=("ja", "el")))
        assert not probe.available
        assert "ja, el" in probe.reason
        with pytest.raises(ModelMissing):
            Tesseract.parameters(EngineOptions(languages=("ja",)))

    def test_without_the_program_it_is_not_available(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        probe = Tesseract.probe(EngineOptions())
        assert not probe.available
        assert "apt-get install tesseract-ocr" in probe.remedy

    def test_what_it_is_given(self, planted: Path, tmp_path: Path) -> None:
        script(
            planted / "tesseract",
            f'case "$1" in --version) echo tesseract 9;; *) echo "$@" $LC_ALL $OMP_THREAD_LIMIT >{tmp_path}/called;'
            f' cat >{tmp_path}/picture; printf "{HEADER}\\n";; esac'.replace("\t", "\\t"),
        )
        analyzer = Tesseract({**Tesseract.parameters(EngineOptions(ocr={"psm": 6})), "threads": 3})
        analyzer.load()
        assert analyzer.run([blank(2, 1)]) == [()]
        called = (tmp_path / "called").read_text().split()
        assert called[:6] == ["-", "-", "-l", "kor+eng", "--psm", "6"]
        assert called[-2:] == ["C", "1"]
        assert (tmp_path / "picture").read_bytes() == b"P6\n2 1\n255\n" + b"\xff" * 6

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ("cat >/dev/null; echo 'Image too large' >&2; exit 1", "model_failed"),
            ("cat >/dev/null; echo garbage", "damaged_answer"),
            ("cat >/dev/null; printf '\\377\\376'", "damaged_answer"),
            ("cat >/dev/null; kill -9 $$", "model_failed"),
        ],
    )
    def test_a_program_that_fails_is_a_problem_of_that_image(self, planted: Path, body: str, code: str) -> None:
        script(planted / "tesseract", body)
        (answer,) = Tesseract(Tesseract.parameters(EngineOptions())).run([blank()])
        assert isinstance(answer, Problem)
        assert answer.code == code

    def test_a_program_that_is_gone(self, planted: Path) -> None:
        program = script(planted / "tesseract", "exit 0")
        analyzer = Tesseract(Tesseract.parameters(EngineOptions()))
        program.unlink()
        with pytest.raises(ModelLoadFailed):
            analyzer.load()
        (answer,) = analyzer.run([blank()])
        assert isinstance(answer, Problem)

    @pytest.mark.parametrize(("timeout", "seconds"), [(120.0, 90.0), (600.0, 570.0), (4.0, 3.0)])
    def test_it_may_take_nearly_as_long_as_the_worker(self, planted: Path, timeout: float, seconds: float) -> None:
        script(planted / "tesseract", "exit 0")
        assert Tesseract.parameters(EngineOptions(timeout=timeout))["seconds"] == seconds

    def test_one_that_takes_longer_is_ended(self, planted: Path) -> None:
        script(planted / "tesseract", "exec sleep 60")
        (answer,) = Tesseract(Tesseract.parameters(EngineOptions(timeout=0.2))).run([blank()])
        assert isinstance(answer, Problem)
        assert (answer.code, answer.remedy) == ("timeout", "raise --timeout")

    @pytest.mark.parametrize(
        ("ocr", "modes"),
        [({}, ["3"]), ({"psm": 6}, ["6"]), ({"order": "raw"}, ["3"]), ({"order": "columns"}, ["3"])],
    )
    def test_a_page_that_is_read_well_is_read_once(
        self, planted: Path, tmp_path: Path, ocr: dict[str, Any], modes: list[str]
    ) -> None:
        (tmp_path / "answer").write_text(output(row(1, 1, (0, 0, 5, 5), 95, "fine")))
        script(planted / "tesseract", f'cat >/dev/null; echo "$6" >>{tmp_path}/modes; cat {tmp_path}/answer')
        (lines,) = Tesseract(Tesseract.parameters(EngineOptions(ocr=ocr))).run([blank()])
        assert not isinstance(lines, Problem) and [line.text for line in lines] == ["fine"]
        assert (tmp_path / "modes").read_text().split() == modes

    def test_letters_that_are_left_are_read_by_other_modes_and_turned(self, planted: Path, tmp_path: Path) -> None:
        (tmp_path / "answer").write_text(output(row(1, 1, (0, 0, 5, 5), 40, "poor")))
        script(planted / "tesseract", f'cat >/dev/null; echo "$6" >>{tmp_path}/modes; cat {tmp_path}/answer')
        analyzer = Tesseract(Tesseract.parameters(EngineOptions(text_engine="tesseract")))
        analyzer.run([written()])
        assert (tmp_path / "modes").read_text().split() == ["3", "4", "1", "3"]
        (tmp_path / "modes").unlink()
        analyzer.run([written(90)])
        assert (tmp_path / "modes").read_text().split() == ["3", "1", "3", "3", "3"]

    def test_what_was_read_is_kept_where_another_reading_fails(self, planted: Path, tmp_path: Path) -> None:
        (tmp_path / "answer").write_text(output(row(1, 1, (0, 0, 5, 5), 60, "poor")))
        script(planted / "tesseract", f'cat >/dev/null; [ "$6" = 3 ] || exit 1; cat {tmp_path}/answer')
        (lines,) = Tesseract(Tesseract.parameters(EngineOptions(text_engine="tesseract"))).run([written()])
        assert not isinstance(lines, Problem) and [line.text for line in lines] == ["poor"]


def written(turned: int = 0) -> Picture:
    """Three lines that are easily seen, turned by some degrees."""
    image = Image.new("RGB", (700, 240), "white")
    for number in range(3):
        font = ImageFont.truetype(FONTS[0].with_name("serif.ttf"), 32)
        ImageDraw.Draw(image).text((30, 30 + 60 * number), "many harbour letters in a row", "black", font=font)
    image = image.rotate(turned, expand=True)
    return Picture(np.asarray(image), *image.size, "PNG")


PAGE = ("입주민 여러분께 알려드립니다.", "Invoice number 2024", "계단을 이용하여 주시기 바랍니다.")


def drawn() -> Picture:
    """A page of three lines, Korean and English, 90 pixels apart."""
    font = next((path for path in FONTS if path.is_file()), None)
    if font is None:
        pytest.skip("no font with Hangul: neither examples/fonts nor the Nanum fonts are here")
    image = Image.new("RGB", (900, 360), "white")
    for number, text in enumerate(PAGE):
        place = (40, 40 + 90 * number)
        ImageDraw.Draw(image).text(place, text, "black", font=ImageFont.truetype(font, 28))
    return Picture(np.asarray(image), *image.size, "PNG")


class TestReal:
    @pytest.fixture
    def analyzer(self) -> Tesseract:
        if shutil.which("tesseract") is None:
            pytest.skip("tesseract is not installed: apt-get install tesseract-ocr tesseract-ocr-kor")
        probe = Tesseract.probe(EngineOptions())
        if missing := {"ko", "en"} - set(probe.languages):
            pytest.skip(f"tesseract has no language file for {', '.join(missing)}")
        analyzer = Tesseract({**Tesseract.parameters(EngineOptions()), "threads": 1})
        analyzer.load()
        return analyzer

    def test_the_lines_of_a_page_are_read(self, analyzer: Tesseract) -> None:
        (lines,) = analyzer.run([drawn()])
        assert not isinstance(lines, Problem)
        assert [line.text for line in lines] == list(PAGE)
        for number, line in enumerate(lines):
            assert isinstance(line, TextLine)
            assert line.confidence > 0.5
            (left, top), _, (right, bottom), _ = line.box
            assert 30 <= left < 60
            assert 200 < right < 600
            assert 35 + 90 * number <= top < bottom <= 80 + 90 * number

    @pytest.mark.parametrize("degrees", [90, 180, 270])
    def test_a_turned_page_is_read_and_its_boxes_are_where_the_lines_are(
        self, analyzer: Tesseract, degrees: int
    ) -> None:
        image = Image.fromarray(drawn().pixels).rotate(degrees, expand=True)
        (lines,) = analyzer.run([Picture(np.asarray(image), *image.size, "PNG")])
        assert not isinstance(lines, Problem)
        assert [line.text for line in lines] == list(PAGE)
        ink = np.asarray(image.convert("L")) < 128
        for line in lines:
            (left, top), (right, bottom) = (fold(zip(*line.box, strict=True)) for fold in (lowest, highest))
            assert ink[top:bottom, left:right].mean() > 0.05

    def test_columns_are_not_read_across(self, analyzer: Tesseract) -> None:
        image, font = Image.new("RGB", (1300, 500), "white"), ImageFont.truetype(FONTS[0].with_name("serif.ttf"), 28)
        words = "The quick brown fox jumps over the lazy dog while seven green parrots watch from a tall oak tree. "
        lines = textwrap.wrap(words * 5, 38)[:10]
        for number, line in enumerate((*lines, *lines)):
            ImageDraw.Draw(image).text((60 + number // 10 * 650, 40 + number % 10 * 42), line, "black", font=font)
        (found,) = analyzer.run([Picture(np.asarray(image), *image.size, "PNG")])
        assert not isinstance(found, Problem)
        assert [line.text for line in found] == lines * 2

    def test_an_index_in_columns_is_not_read_across(self, analyzer: Tesseract) -> None:
        image, font = Image.new("RGB", (760, 440), "white"), ImageFont.truetype(FONTS[0].with_name("gothic.ttf"), 28)
        entries = ("Almond", "Apple", "Barley", "Butter", "Carrot", "Celery", "Honey", "Lemon", "Onion", "Parsley")
        for number, entry in enumerate(entries):
            ImageDraw.Draw(image).text((40 + number // 5 * 420, 40 + number % 5 * 70), entry, "black", font=font)
        parameters = Tesseract.parameters(EngineOptions(languages=("en",)))
        (found,) = Tesseract(parameters).run([Picture(np.asarray(image), *image.size, "PNG")])
        (alone,) = Tesseract({**parameters, "psm": 3}).run([Picture(np.asarray(image), *image.size, "PNG")])
        assert found == alone

    def test_prices_follow_their_items(self, analyzer: Tesseract) -> None:
        image, font = Image.new("RGB", (620, 300), "white"), ImageFont.truetype(FONTS[0].with_name("gothic.ttf"), 28)
        rows = [("Sourdough bread", "3.15"), ("Oat milk", "4.22"), ("Olive oil", "6.36"), ("Green tea", "7.43")]
        for number, cells in enumerate(rows):
            for left, text in zip((40, 500), cells, strict=True):
                ImageDraw.Draw(image).text((left, 40 + 48 * number), text, "black", font=font)
        (found,) = analyzer.run([Picture(np.asarray(image), *image.size, "PNG")])
        assert not isinstance(found, Problem)
        assert " ".join(line.text for line in found) == " ".join(" ".join(cells) for cells in rows)

    @pytest.mark.parametrize("size", [(1, 1), (2, 300), (300, 2)])
    def test_pictures_too_small_for_text_have_none(self, analyzer: Tesseract, size: tuple[int, int]) -> None:
        assert analyzer.run([blank(*size)]) == [()]

    def test_a_picture_that_the_program_refuses(self, analyzer: Tesseract) -> None:
        (answer,) = analyzer.run([blank(40_000, 3)])
        assert isinstance(answer, Problem)
        assert "too large" in answer.message
