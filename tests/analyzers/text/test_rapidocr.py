"""RapidOCR as it is upstream: same answers, nothing downloaded, nothing printed, and slivers that do not explode."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from difflib import SequenceMatcher
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from PIL import Image, ImageDraw, ImageFont
from rapidocr import RapidOCR

from imgtool.analyzers.text.rapidocr import FILES, RapidOcr
from imgtool.errors import ModelLoadFailed
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions
from imgtool.runtime.worker.decode import Decoder
from imgtool.types import Problem, TextLine
from imgtool.weights.languages import RAPIDOCR_LANGUAGES
from tests.conftest import ROOT


def page(*lines: str, size: tuple[int, int] = (460, 300), top: int = 30, step: int = 80) -> Image.Image:
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((40, top + step * number), line, fill="black", font=ImageFont.load_default(40))
    return image


def picture(image: Image.Image) -> Picture:
    pixels = np.asarray(image)
    return Picture(pixels, image.width, image.height, "PNG")


def read(analyzer: RapidOcr, image: Image.Image) -> tuple[TextLine, ...]:
    answer = analyzer.run([picture(image)])[0]
    assert isinstance(answer, tuple), answer
    return answer


@pytest.fixture(scope="module")
def analyzer() -> Iterator[RapidOcr]:
    made = RapidOcr({"threads": 2})
    made.load()
    yield made
    made.close()


def test_drawn_words_are_read_in_order(analyzer: RapidOcr) -> None:
    lines = read(analyzer, page("Invoice 2024-118", "Total: 1,250.00 EUR", "Thank you!"))
    assert [line.text for line in lines] == ["Invoice 2024-118", "Total: 1,250.00 EUR", "Thank you!"]
    assert all(0.8 < line.confidence <= 1 for line in lines)


def test_boxes_surround_the_ink(analyzer: RapidOcr) -> None:
    image = page("Where is this?", size=(500, 300), top=140)
    ink = np.argwhere(np.asarray(image.convert("L")) < 128)
    (top, left), (bottom, right) = ink.min(0), ink.max(0)
    (line,) = read(analyzer, image)
    one, two, three, four = line.box
    assert one[0] < two[0] and four[0] < three[0] and one[1] < four[1] and two[1] < three[1]
    found = (one[0], one[1], three[0], three[1])
    assert np.abs(np.subtract(found, (left, top, right, bottom))).max() < 14


@pytest.fixture(scope="module")
def alone() -> RapidOCR:
    return RapidOCR(params={"Global.log_level": "error"})


@pytest.fixture(scope="module")
def raw() -> Iterator[RapidOcr]:
    made = RapidOcr({"threads": 2, "raw": True})
    made.load()
    yield made
    made.close()


def test_raw_answers_equal_those_of_the_library_alone(raw: RapidOcr, alone: RapidOCR) -> None:
    slanted = page("Slanted text", "Second line 42", size=(440, 400), top=120).rotate(12, fillcolor="white")
    large = page("A large sheet", "of two lines", size=(2100, 700), top=200)
    inverted = page("upside down").rotate(180)
    for image in (slanted, large, inverted):
        expected = alone(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR))
        lines = read(raw, image)
        assert [line.text for line in lines] == list(expected.txts)
        assert [line.confidence for line in lines] == pytest.approx(expected.scores)
        assert np.allclose([line.box for line in lines], expected.boxes)


def test_an_ordinary_page_is_read_as_by_the_library_alone(analyzer: RapidOcr, raw: RapidOcr) -> None:
    image = page("Slanted text", "Second line 42", size=(440, 400), top=120).rotate(12, fillcolor="white")
    assert read(analyzer, image) == read(raw, image) != ()


FONTS = ROOT / "examples" / "fonts"
SENTENCES = (
    "The quick brown fox jumps over the lazy dog while seven green parrots watch from a tall oak tree near the river. "
    "Quarterly revenue rose by twelve percent to 4,318 million despite higher shipping costs in March and April. "
    "Please return the signed form to room 217 before Friday; late answers cannot be counted this year. "
    "Captain Hobbs measured the harbour depth again and wrote 14.6 metres into the old brown log book. "
)


def prose(size: tuple[int, int], columns: list[int], width: int, font: str = "serif.ttf") -> tuple[Image.Image, str]:
    """A page of text of ``width`` characters a line, in columns that begin at these x, and its lines in order."""
    image, lines = Image.new("RGB", size, "white"), textwrap.wrap(SENTENCES * 12, width)
    each = (size[1] - 120) // 42
    for number, line in enumerate(lines := lines[: each * len(columns)]):
        place = columns[number // each], 60 + number % each * 42
        ImageDraw.Draw(image).text(place, line, fill="black", font=ImageFont.truetype(str(FONTS / font), 28))
    return image, "\n".join(lines)


def same(lines: tuple[TextLine, ...], truth: str) -> float:
    found = "\n".join(line.text for line in lines)
    return SequenceMatcher(None, found.replace(" ", ""), truth.replace(" ", ""), autojunk=False).ratio()


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_turned_page_is_read_from_its_first_line_to_its_last(analyzer: RapidOcr, degrees: int) -> None:
    image, truth = prose((900, 640), [50], 52)
    lines = read(analyzer, image.rotate(degrees, expand=True))
    assert same(lines, truth) > 0.98
    (x, y), (x2, y2) = lines[0].box[:2]
    direction = {0: (1, 0), 90: (0, -1), 180: (-1, 0), 270: (0, 1)}[degrees]
    assert (x2 - x) * direction[0] + (y2 - y) * direction[1] > 300


def test_a_line_that_the_classifier_turns_wrongly_is_read_as_it_stands(analyzer: RapidOcr, raw: RapidOcr) -> None:
    image, truth = prose((1020, 1000), [40], 58, "mono.ttf")
    assert same(read(analyzer, image), truth) > max(0.98, same(read(raw, image), truth))


@pytest.mark.parametrize("columns", [2, 3])
def test_columns_are_read_one_after_the_other(analyzer: RapidOcr, columns: int) -> None:
    image, truth = prose((600 * columns, 560), [600 * column + 40 for column in range(columns)], 38)
    assert same(read(analyzer, image), truth) > 0.98


@pytest.mark.slow
def test_a_very_tall_page_is_read_whole_and_no_line_twice(analyzer: RapidOcr) -> None:
    image, truth = prose((1000, 6000), [60], 50)
    lines = read(analyzer, image)
    assert same(lines, truth) > 0.98 and len(lines) == truth.count("\n") + 1


@pytest.mark.slow
def test_a_very_wide_page_is_read_whole_and_no_line_twice(analyzer: RapidOcr) -> None:
    image = Image.new("RGB", (6000, 300), "white")
    for row, start in enumerate((0, 60)):
        place, words = (60, 60 + 100 * row), SENTENCES[start : start + 330]
        ImageDraw.Draw(image).text(place, words, fill="black", font=ImageFont.truetype(str(FONTS / "serif.ttf"), 36))
    lines = read(analyzer, image)
    assert len(lines) == 2 and same(lines, SENTENCES[:330] + SENTENCES[60:390]) > 0.95


def test_a_digit_that_fills_a_small_image_is_found_where_it_is(analyzer: RapidOcr) -> None:
    image = Image.new("RGB", (120, 90), "white")
    ImageDraw.Draw(image).text((40, 10), "7", fill="black", font=ImageFont.truetype(str(FONTS / "gothic.ttf"), 56))
    (line,) = read(analyzer, image)
    assert line.text == "7" and 25 < line.box[0][0] < 50 and 60 < line.box[2][0] < 90


def test_the_cleaned_graphs_are_kept_and_answer_alike(tmp_path: Path) -> None:
    image = page("Invoice 2024-118", "Total: 1,250.00 EUR")
    answers = []
    for paths in (
        {},
        {"paths": {"cleaned": str(tmp_path / "cleaned")}},
        {"paths": {"cleaned": str(tmp_path / "cleaned")}},
    ):
        made = RapidOcr({"threads": 1, **paths})
        made.load()
        answers.append(read(made, image))
        made.close()
    assert answers[0] == answers[1] == answers[2] != ()
    kept = {folder.name.rpartition("-")[0] for folder in (tmp_path / "cleaned").iterdir()}
    assert kept == {Path(name).stem for name in FILES.values()}
    options = EngineOptions(cache_dir=tmp_path)
    assert RapidOcr.parameters(options) == {"paths": {"cleaned": str(tmp_path / "cleaned")}}


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "images").iterdir()), ids=lambda path: path.name)
def test_examples_are_read_as_by_the_library_alone(raw: RapidOcr, alone: RapidOCR, path: Path) -> None:
    """Lines, scores and boxes, number by number."""
    decoder = Decoder(10**8)
    pixels = decoder.decode(str(path)).pixels
    decoder.close()
    expected = alone(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    lines = read(raw, Image.fromarray(pixels))
    assert [line.text for line in lines] == list(expected.txts or ())
    assert [line.confidence for line in lines] == [float(score) for score in expected.scores or ()]
    boxes = [] if expected.boxes is None else expected.boxes.tolist()
    height, width = pixels.shape[:2]
    clamped = [[[min(width, max(0, x)), min(height, max(0, y))] for x, y in box] for box in boxes]
    assert [[list(corner) for corner in line.box] for line in lines] == clamped


@pytest.mark.parametrize("size", [(200, 200), (1, 1), (2, 1)])
def test_no_text_is_an_empty_answer(analyzer: RapidOcr, size: tuple[int, int]) -> None:
    assert read(analyzer, Image.new("RGB", size, "white")) == ()


@pytest.mark.parametrize("size", [(1, 300), (300, 1), pytest.param((30_000, 60), marks=pytest.mark.slow), (1, 10_000)])
def test_slivers_are_answered_quickly(analyzer: RapidOcr, size: tuple[int, int]) -> None:
    assert read(analyzer, Image.new("RGB", size, "white")) == ()


def test_text_in_a_sliver_is_found_where_it_is(analyzer: RapidOcr) -> None:
    strip = Image.new("RGB", (4400, 42), "white")
    ImageDraw.Draw(strip).text((600, -1), "HELLO WORLD", fill="black", font=ImageFont.load_default(36))
    for line in (lines := read(analyzer, strip)):
        assert all(0 <= x <= 4400 and 0 <= y <= 42 for x, y in line.box)
    assert [line.text for line in lines] == ["HELLO WORLD"]
    assert 560 < lines[0].box[0][0] < 640


def test_an_image_that_fails_takes_no_other_along(analyzer: RapidOcr) -> None:
    good = picture(page("still here"))
    broken = Picture(np.zeros((0, 0, 3), np.uint8), 0, 0, "PNG")
    first, second = analyzer.run([broken, good])
    assert [line.text for line in second] == ["still here"]
    assert isinstance(first, Problem)
    assert first.code == "model_failed" and first.remedy and "\n" not in first.message


def test_several_threads_get_their_own_answers(analyzer: RapidOcr) -> None:
    texts = ["alpha 111", "bravo 222"]
    answers: dict[str, list[str]] = {}

    def ask(text: str) -> None:
        answers[text] = [line.text for line in read(analyzer, page(text))]

    threads = [threading.Thread(target=ask, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {text: [text] for text in texts}


def test_probe_names_version_size_and_languages() -> None:
    probe = RapidOcr.probe(EngineOptions())
    assert probe.available and probe.model == "PP-OCRv6 small"
    assert probe.model_version == version("rapidocr")
    assert probe.size_bytes > 30_000_000
    assert {"en", "zh", "ja"} <= set(probe.languages)
    assert len(set(probe.languages)) == len(probe.languages)


ALPHABETS = {
    "en": "Az",
    "de": "äöüßÄÖÜ",
    "fr": "àâæçéèêëîïôœùûüÿ",
    "es": "áéíñóúü",
    "pt": "ãáàâçéêíõóôú",
    "pl": "ąćęłńóśźż",
    "cs": "áčďéěíňóřšťúůýž",
    "hu": "áéíóöőúüű",
    "ro": "ăâîșț",
    "tr": "çğıöşüİ",
    "is": "áðéíóúýþæö",
    "az": "əğıöşüç",
    "ja": "あいうえおがぎぱアイウエオガギパ日本語",
    "zh": "中文简体繁體東國",
    "ko": "가나다한글",
    "ru": "абвгд",
    "vi": "ảạằẳẵ",
    "th": "กขค",
    "ar": "ابت",
    "el": "άέή",
    "hi": "अआइ",
}


def test_languages_are_those_of_the_dictionary() -> None:
    found = find_spec("rapidocr")
    assert found is not None and found.origin is not None
    session = onnxruntime.InferenceSession(str(Path(found.origin).parent / "models" / FILES["Rec"]))
    known = set(session.get_modelmeta().custom_metadata_map["character"].splitlines())
    for language, letters in ALPHABETS.items():
        assert (set(letters) <= known) == (language in RAPIDOCR_LANGUAGES), language
    assert not any(0xAC00 <= ord(letter[0]) <= 0xD7A3 for letter in known)


# In processes of their own: what is imported, printed and opened while a model loads


def run_python(code: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    found = [str(path) for path in (*paths, ROOT)]
    program = f"import sys; sys.path[:0] = {found!r}\n" + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)


def test_looking_for_it_imports_nothing_heavy() -> None:
    done = run_python("""
        from imgtool.analyzers.text.rapidocr import RapidOcr
        from imgtool.options import EngineOptions
        assert RapidOcr.probe(EngineOptions()).available
        heavy = {"numpy", "cv2", "onnxruntime", "rapidocr", "PIL", "omegaconf"} & set(sys.modules)
        assert not heavy, heavy
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_loading_and_reading_print_nothing_and_need_no_network() -> None:
    done = run_python("""
        import socket
        def refuse(*args, **kwargs):
            raise AssertionError("a network connection was attempted")
        socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
        from imgtool.analyzers.text.rapidocr import RapidOcr
        analyzer = RapidOcr({"threads": 1})
        analyzer.load()
        analyzer.warm_up()
        from omegaconf import OmegaConf
        assert OmegaConf.load.__name__ == "load" and not hasattr(OmegaConf.load, "cache_info")
        assert "torch" not in sys.modules
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def copied_package(target: Path) -> Path:
    """The installed package where its models can be spoiled; links, so that it costs nothing."""
    found = find_spec("rapidocr")
    assert found is not None and found.origin is not None
    shutil.copytree(Path(found.origin).parent, target / "rapidocr", ignore=shutil.ignore_patterns("*.onnx", "*.pyc"))
    for name in FILES.values():
        (target / "rapidocr" / "models" / name).symlink_to(Path(found.origin).parent / "models" / name)
    return target / "rapidocr" / "models"


TRY = """
    import socket
    def refuse(*args, **kwargs):
        raise SystemExit("a network connection was attempted")
    socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
    from imgtool.analyzers.text.rapidocr import RapidOcr
    from imgtool.options import EngineOptions
    from imgtool.errors import ModelLoadFailed
    probe = RapidOcr.probe(EngineOptions())
    print(probe.available, probe.reason, probe.remedy)
    try:
        RapidOcr({}).load()
    except ModelLoadFailed as error:
        print("failed:", error, error.remedy)
"""


def test_a_missing_model_is_said_and_never_downloaded(tmp_path: Path) -> None:
    (copied_package(tmp_path) / FILES["Rec"]).unlink()
    done = run_python(TRY, tmp_path)
    assert done.returncode == 0, done.stderr
    looked, failed = done.stdout.splitlines()
    assert looked.startswith("False") and FILES["Rec"] in looked and "pip install" in looked
    assert failed.startswith("failed:") and "pip install" in failed


@pytest.mark.parametrize("damage", ["garbage", "no dictionary"])
def test_a_broken_model_fails_the_load(tmp_path: Path, damage: str) -> None:
    models = copied_package(tmp_path)
    (models / FILES["Rec"]).unlink()
    if damage == "garbage":
        (models / FILES["Rec"]).write_bytes(b"no model" * 100)
    else:
        (models / FILES["Rec"]).symlink_to(models / FILES["Cls"])
    done = run_python(TRY, tmp_path)
    assert done.returncode == 0, done.stderr
    looked, failed = done.stdout.splitlines()
    assert looked.startswith("True")
    assert failed.startswith("failed:") and "pip install" in failed


def test_a_package_that_is_not_installed() -> None:
    hidden = """
        import importlib.util
        really = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *rest: None if name == "rapidocr" else really(name, *rest)
    """
    done = run_python(textwrap.dedent(hidden) + textwrap.dedent(TRY))
    assert done.returncode == 0, done.stderr
    looked, failed = done.stdout.splitlines()
    assert looked.startswith("False the package rapidocr is not installed")
    assert failed.startswith("failed:")


def test_it_must_be_loaded_first() -> None:
    with pytest.raises(ModelLoadFailed):
        RapidOcr({}).warm_up()
