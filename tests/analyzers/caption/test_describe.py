"""``describe``: drawn images whose measurements are known by construction, and sentences for any measurement at all."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from itertools import product

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from imgtool.analyzers.caption import colours as _colours
from imgtool.analyzers.caption import measure as _measure
from imgtool.analyzers.caption.describe import Describe
from imgtool.analyzers.caption.sentence import (
    ColourShare,
    Measurements,
    TextSummary,
    compose,
    one_line,
    orientation,
    quoted,
    summarise_text,
)
from imgtool.analyzers.registry import load_class
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions
from imgtool.types import Backend, Task, TextLine

Pixels = NDArray[np.uint8]


def flat(height: int, width: int, colour: tuple[int, int, int]) -> Pixels:
    return np.full((height, width, 3), colour, np.uint8)


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def page(height: int = 1000, width: int = 1400, ink: tuple[int, int, int] = (0, 0, 0)) -> Pixels:
    """White paper with lines of letters."""
    pixels = flat(height, width, (255, 255, 255))
    for y in range(80, height - 20, 60):
        cv2.putText(pixels, "The quick brown fox jumps over", (40, y), cv2.FONT_HERSHEY_SIMPLEX, 1.6, ink, 3)
    return pixels


def line(text: str, left: float = 0, top: float = 0, right: float = 10, bottom: float = 10) -> TextLine:
    return TextLine(text, 0.9, ((left, top), (right, top), (right, bottom), (left, bottom)))


def qr_code(payload: str, module: int = 6) -> Pixels:
    """A QR code with its quiet zone, (N, N) uint8."""
    code = cv2.QRCodeEncoder.create().encode(payload)
    code = cv2.copyMakeBorder(code, 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=255)
    return np.repeat(np.repeat(code, module, axis=0), module, axis=1)


def ean8(digits: str, module: int = 3) -> Pixels:
    """An EAN-8 barcode with its quiet zone, (H, W) uint8: GS1 general specifications, the table of number set A."""
    left = [
        "0001101",
        "0011001",
        "0010011",
        "0111101",
        "0100011",
        "0110001",
        "0101111",
        "0111011",
        "0110111",
        "0001011",
    ]
    first = "".join(left[int(digit)] for digit in digits[:4])
    second = "".join(left[int(digit)] for digit in digits[4:]).translate(str.maketrans("01", "10"))
    bits = "0" * 12 + "101" + first + "01010" + second + "101" + "0" * 12
    row = np.array([0 if bit == "1" else 255 for bit in bits], np.uint8)
    return np.tile(np.repeat(row, module), (160, 1))


def describe(pixels: Pixels, *lines: TextLine) -> str:
    analyzer = Describe(Describe.parameters(EngineOptions()))
    analyzer.load()
    answers = {Task.TEXT: lines} if lines else {}
    (answer,) = analyzer.run([Picture(pixels, pixels.shape[1], pixels.shape[0], "PNG", answers)])
    assert isinstance(answer, str)
    return answer


# --------------------------------------------------------------------------------------------------------------------
# Colours


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((0, 0, 0), "black"),
        ((70, 70, 70), "dark grey"),
        ((128, 128, 128), "grey"),
        ((200, 200, 200), "light grey"),
        ((255, 255, 255), "white"),
        ((255, 0, 0), "red"),
        ((139, 0, 0), "dark red"),
        ((255, 165, 0), "orange"),
        ((255, 192, 203), "pink"),
        ((160, 82, 45), "brown"),
        ((245, 222, 179), "beige"),
        ((255, 255, 0), "yellow"),
        ((34, 139, 34), "green"),
        ((0, 90, 10), "dark green"),
        ((144, 238, 144), "light green"),
        ((64, 224, 208), "turquoise"),
        ((0, 255, 255), "cyan"),
        ((0, 0, 255), "blue"),
        ((0, 0, 128), "dark blue"),
        ((135, 206, 235), "light blue"),
        ((128, 0, 128), "purple"),
        ((255, 0, 255), "magenta"),
    ],
)
def test_a_flat_image_is_named_by_its_colour(colour: tuple[int, int, int], name: str) -> None:
    assert describe(flat(40, 40, colour)) == f"A plain {name} square image."


def test_lab_agrees_with_opencv() -> None:
    colours = np.random.default_rng(1).random((500, 3), dtype=np.float32)
    reference = cv2.cvtColor(colours[None], cv2.COLOR_RGB2Lab)[0]
    assert np.abs(_colours.to_lab(colours) - reference).max() < 0.5


def test_lab_of_white_and_black() -> None:
    ends = _colours.to_lab(np.array([[1, 1, 1], [0, 0, 0]], np.float32))
    assert np.allclose(ends, [[100, 0, 0], [0, 0, 0]], atol=1e-3)


def test_shares_are_those_of_the_areas() -> None:
    pixels = flat(1000, 1000, (255, 0, 0))
    pixels[:, 250:] = (0, 0, 255)
    pixels[:, 750:] = (255, 255, 0)
    sampled = _colours.sample(pixels)
    found = {colour.name: colour.share for colour in _colours.shares(sampled.counts, sampled.total)}
    assert found == {
        "blue": pytest.approx(0.5, abs=0.01),
        "red": pytest.approx(0.25, abs=0.01),
        "yellow": pytest.approx(0.25, abs=0.01),
    }


@pytest.mark.parametrize("period", [2, 3, 4, 8, 16])
def test_regular_stripes_are_not_sampled_as_one_colour(period: int) -> None:
    pixels = flat(2048, 2048, (255, 255, 255))
    pixels[:, np.arange(2048) % period < period / 2] = 0
    sampled = _colours.sample(pixels)
    expected = (np.arange(2048) % period < period / 2).mean()
    assert sampled.counts[0] / sampled.total == pytest.approx(expected, abs=0.05)


def test_thin_letters_stay_black_on_a_plain_white_background() -> None:
    said = describe(page(3000, 4000))
    assert "black on a plain white background" in said
    assert "grey on" not in said


def test_a_coloured_figure_on_a_plain_background_is_named() -> None:
    pixels = page()
    cv2.rectangle(pixels, (850, 100), (1350, 900), (200, 20, 20), -1)
    assert "red and black on a plain white background" in describe(pixels)


def test_a_patch_in_the_middle_is_no_background() -> None:
    pixels = noise(600, 600)
    pixels[75:525, 75:525] = (0, 0, 110)
    assert "plain" not in describe(pixels)
    assert "mostly dark blue" in describe(pixels)


def test_grey_levels_are_told_from_colour() -> None:
    grey = np.repeat(noise(300, 400)[..., :1], 3, axis=2)
    assert "greyscale" in describe(grey)
    assert "greyscale" not in describe(noise(300, 400))
    stamped = grey.copy()
    stamped[100:130, 100:130] = (200, 20, 20)
    assert "greyscale" not in describe(stamped)


# --------------------------------------------------------------------------------------------------------------------
# Light


def test_lightness_and_contrast_of_two_halves() -> None:
    """Half black, half white: mean L* 50 and the two parts 100 apart."""
    pixels = flat(200, 200, (0, 0, 0))
    pixels[:, 100:] = 255
    lightness, contrast = _measure.tone(_colours.sample(pixels))
    assert lightness == pytest.approx(50, abs=0.5)
    assert contrast == pytest.approx(100, abs=0.5)


@pytest.mark.parametrize("ink", [1, 10, 50])
def test_contrast_does_not_depend_on_how_much_ink_there_is(ink: int) -> None:
    pixels = flat(200, 200, (255, 255, 255))
    pixels[:, :ink] = 0
    assert _measure.tone(_colours.sample(pixels))[1] == pytest.approx(100, abs=0.5)


def test_a_flat_image_has_no_contrast() -> None:
    assert _measure.tone(_colours.sample(flat(50, 50, (120, 130, 140))))[1] == 0


def test_a_faint_pattern_is_low_in_contrast() -> None:
    pixels = flat(400, 500, (120, 120, 120))
    pixels[:, ::20] = 150
    assert "low contrast" in describe(pixels)


@pytest.mark.parametrize(("level", "word"), [(10, "very dark"), (50, "dark"), (230, "bright")])
def test_brightness_words(level: int, word: str) -> None:
    pixels = flat(300, 400, (level, level, level))
    pixels[:, ::10] += 25
    assert describe(pixels).startswith(f"A {word} greyscale landscape image")


def test_ordinary_brightness_is_not_mentioned() -> None:
    said = describe(noise(300, 400))
    assert "dark" not in said.split(",")[0]
    assert "bright" not in said


# --------------------------------------------------------------------------------------------------------------------
# Sharpness


def stripes(height: int, width: int, period: int = 60) -> NDArray[np.uint8]:
    return np.tile(np.where(np.arange(width) // (period // 2) % 2, 220, 30).astype(np.uint8), (height, 1))


@pytest.mark.parametrize("blur", [1.0, 2.0, 3.0, 5.0])
@pytest.mark.parametrize("step", [40, 200])
def test_edge_width_is_the_blur_that_was_applied(blur: float, step: int) -> None:
    grey = np.where(stripes(800, 1000, 200) > 100, 20 + step, 20).astype(np.uint8)
    measured = _measure.edge_width(cv2.GaussianBlur(grey, (0, 0), blur))
    assert measured == pytest.approx(blur, rel=0.15)


def test_noise_and_letters_are_sharp_and_blurred_letters_are_not() -> None:
    assert ", sharp" in describe(noise(500, 700))
    assert ", sharp" in describe(page())
    blurred = describe(cv2.GaussianBlur(page(), (0, 0), 6))
    assert "blurry" in blurred
    assert "sharp" not in blurred


def test_a_sharp_subject_before_a_blurred_background_is_sharp() -> None:
    pixels = cv2.GaussianBlur(page(), (0, 0), 8)
    pixels[300:800, 300:1000] = page()[300:800, 300:1000]
    assert ", sharp" in describe(pixels)


def test_sharpness_is_judged_alike_at_any_resolution() -> None:
    large = cv2.GaussianBlur(page(3000, 4000), (0, 0), 12)
    small = cv2.resize(large, (1024, 768), interpolation=cv2.INTER_AREA)
    widths = [_measure.measure(pixels).edge_width for pixels in (large, small)]
    assert widths[0] == pytest.approx(widths[1], rel=0.1)


@pytest.mark.parametrize("width", [200, 1000])
def test_a_gradient_is_neither_sharp_nor_blurred(width: int) -> None:
    ramp = np.tile(np.linspace(0, 255, width).astype(np.uint8), (150, 1))
    assert _measure.edge_width(ramp) is None
    assert _measure.edge_width(np.ascontiguousarray(ramp.T)) is None


def test_faint_noise_has_no_edges_to_judge_by() -> None:
    grey = (128 + np.random.default_rng(2).normal(0, 1.5, (600, 800))).astype(np.uint8)
    assert _measure.edge_width(grey) is None


# --------------------------------------------------------------------------------------------------------------------
# Codes


def test_qr_codes_that_can_be_read_are_counted() -> None:
    pixels = flat(900, 1400, (255, 255, 255))
    for left, payload in ((100, "https://example.org/a"), (800, "an order: 00042")):
        code = qr_code(payload, 8)
        pixels[300 : 300 + code.shape[0], left : left + code.shape[1]] = code[..., None]
    assert describe(pixels).endswith("; 2 QR codes.")
    assert describe(pixels[:, :700]).endswith("; one QR code.")


def test_a_small_tilted_code_in_a_large_photo_is_found() -> None:
    pixels = cv2.resize(noise(30, 40), (4000, 3000), interpolation=cv2.INTER_CUBIC)
    code = qr_code("https://example.org", 1)
    turn = cv2.getRotationMatrix2D((0, 0), 20, 12)
    turn[:, 2] += (2000, 1800)
    where = cv2.warpAffine(np.full_like(code, 255), turn, (4000, 3000), flags=cv2.INTER_NEAREST) > 0
    drawn = cv2.warpAffine(code, turn, (4000, 3000), flags=cv2.INTER_NEAREST)
    pixels[where] = drawn[where][:, None]
    assert describe(pixels).endswith("; one QR code.")


def test_a_damaged_code_is_not_counted() -> None:
    code = qr_code("https://example.org/a-longer-address-than-before", 8)
    side = code.shape[0]
    code[side // 2 - 40 : side // 2 + 90, side // 2 - 40 : side // 2 + 90] = 0
    assert "QR" not in describe(np.repeat(code[..., None], 3, axis=2))


def binary_qr_code() -> Pixels:
    """A QR code whose payload is no UTF-8, which OpenCV's encoder cannot be asked for.

    Reed-Solomon codes are linear: the exclusive or of three codes of one mask and length is the code of the exclusive
    or of their payloads, here that of "é", "AB" and "BC", which begins with the byte 0xC0.
    """
    encode = cv2.QRCodeEncoder.create().encode
    by_mask: dict[bytes, dict[str, Pixels]] = {}
    for head, end in product(("é", "AB", "BC"), product("abcdefgh", repeat=2)):
        modules = encode(head + "".join(end))
        # The format information, which names the mask, starts at the left of the ninth row inside the margin of 2.
        found = by_mask.setdefault(modules[10, 2:8].tobytes(), {})
        found[head] = modules
        if len(found) == 3:
            combined = found["é"] ^ found["AB"] ^ found["BC"]
            return np.kron(np.pad(combined, 4, constant_values=255), np.ones((8, 8), np.uint8))
    raise AssertionError("no mask was used for all three")


def test_a_code_that_holds_no_text_is_a_code_all_the_same() -> None:
    code = binary_qr_code()
    with pytest.raises(UnicodeDecodeError):
        cv2.QRCodeDetector().detectAndDecodeMulti(code)
    assert describe(np.repeat(code[..., None], 3, axis=2)).endswith("; one QR code.")


def test_barcodes_that_can_be_read_are_counted() -> None:
    pixels = flat(600, 800, (255, 255, 255))
    code = ean8("96385074")
    pixels[200 : 200 + code.shape[0], 200 : 200 + code.shape[1]] = code[..., None]
    assert describe(pixels).endswith("; one barcode.")


def test_a_barcode_with_a_wrong_check_digit_is_not_counted() -> None:
    pixels = flat(600, 800, (255, 255, 255))
    code = ean8("96385075")
    pixels[200 : 200 + code.shape[0], 200 : 200 + code.shape[1]] = code[..., None]
    assert "barcode" not in describe(pixels)


@pytest.mark.parametrize(
    "make", [page, lambda: noise(900, 1200), lambda: np.repeat(stripes(900, 1200, 12)[..., None], 3, 2)]
)
def test_patterns_that_are_no_codes_are_not_counted(make: object) -> None:
    said = describe(make())  # type: ignore[operator]
    assert "code" not in said


# --------------------------------------------------------------------------------------------------------------------
# Text


def test_the_text_answer_is_counted_and_quoted() -> None:
    lines = [line("Line 0 hello world"), *(line(f"Line {n}") for n in range(1, 6))]
    said = describe(page(), *lines)
    assert said.endswith('; 6 lines of text beginning "Line 0 hello world".')
    assert said.startswith(
        "A bright greyscale landscape image, black on a plain white background, high contrast, sharp;"
    )


def test_much_text_is_said_to_be_much() -> None:
    assert "one line of text over much of it beginning" in describe(page(), line("words", right=1400, bottom=500))
    assert "over much of it" not in describe(page(), line("words", right=1400, bottom=100))


def test_share_of_a_tilted_box() -> None:
    """A square standing on its corner inside a 100 x 100 image covers half of it."""
    tilted = TextLine("x", 1.0, ((50, 0), (100, 50), (50, 100), (0, 50)))
    assert summarise_text([tilted], 100, 100).share == pytest.approx(0.5)


def test_lines_without_a_readable_character_are_not_text() -> None:
    assert summarise_text([line(" \x00\n"), line("\u202e"), line("\u200d \u200c")], 100, 100) == TextSummary()
    assert summarise_text([line("\t"), line("b")], 100, 100).first == "b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Line 0 hello world", '"Line 0 hello world"'),
        ("one two three four five six seven", '"one two three four five six…"'),
        ("extraordinarily long compound expressions follow", '"extraordinarily long compound…"'),
        ("x" * 60, '"' + "x" * 40 + '…"'),
        ('He said "no"', "\"He said 'no'\""),
        ("“Zitat” «citation»", "\"'Zitat' 'citation'\""),
        ("a\nb\x00c\u2028d", '"a b c d"'),
        ("안녕하세요 세계", '"안녕하세요 세계"'),
        ("\u202eevil", '"evil"'),
    ],
)
def test_first_words(text: str, expected: str) -> None:
    assert quoted(text) == expected


def test_an_accent_is_not_parted_from_its_letter() -> None:
    assert quoted("x" * 39 + "e\u0301" + "y" * 9) == '"' + "x" * 39 + '…"'


# --------------------------------------------------------------------------------------------------------------------
# The sentence


def share_lists() -> st.SearchStrategy[tuple[ColourShare, ...]]:
    one = st.builds(ColourShare, st.sampled_from(_colours.tables().names), st.floats(0, 1))
    return st.lists(one, min_size=1, max_size=8, unique_by=lambda colour: colour.name).map(tuple)


def boxes() -> st.SearchStrategy[tuple[tuple[float, float], ...]]:
    coordinate = st.floats(-1e6, 1e6)
    return st.tuples(*[st.tuples(coordinate, coordinate)] * 4)


# Surrogates too: bytes that are no UTF-8 come out of file names and codes as such.
hostile_text = st.text(st.characters(), max_size=120) | st.text('"\n\r\t\0\x1b\u202e\u2028\ud800\u0301 أ', max_size=60)


@given(
    width=st.integers(1, 10**6),
    height=st.integers(1, 10**6),
    lightness=st.floats(0, 100),
    contrast=st.floats(0, 100),
    flags=st.tuples(st.booleans(), st.booleans()),
    edge_width=st.none() | st.floats(0, 1e6),
    colours=share_lists(),
    ground=st.none() | st.sampled_from(_colours.tables().names),
    figure=st.just(()) | share_lists(),
    lines=st.lists(st.builds(TextLine, hostile_text, st.floats(0, 1), boxes()), max_size=5),
    codes=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
)
def test_any_measurement_makes_one_clean_sentence(
    width: int,
    height: int,
    lightness: float,
    contrast: float,
    flags: tuple[bool, bool],
    edge_width: float | None,
    colours: tuple[ColourShare, ...],
    ground: str | None,
    figure: tuple[ColourShare, ...],
    lines: list[TextLine],
    codes: tuple[int, int],
) -> None:
    text = summarise_text(lines, width, height)
    greyscale, plain = flags
    said = compose(
        Measurements(
            width, height, lightness, contrast, greyscale, plain, edge_width, colours, ground, figure, text, *codes
        )
    )
    assert said.startswith("A ")
    assert said.endswith(".")
    assert len(said) <= 300
    assert len(said.splitlines()) == 1
    assert "  " not in said
    assert " ," not in said.split('"')[0]
    bad = {c for c in said if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}} | (
        set(said) & set("\u202a\u202e\u2066")
    )
    assert not bad
    assert said.count('"') in {0, 2}
    said.encode("utf-8")


@given(hostile_text)
@example('"' * 50)
@example("\u0301" * 60)
@example("\u200d \u200c")
def test_a_quote_is_short_and_closed(text: str) -> None:
    if not one_line(text):
        assert quoted(text) == '""'
        return
    said = quoted(text)
    assert said[0] == said[-1] == '"'
    assert said.strip('" \u200c\u200d')
    assert '"' not in said[1:-1]
    assert len(said) <= 43
    assert len(said.split()) <= 6


@pytest.mark.parametrize(
    ("size", "word"),
    [
        ((4000, 3000), "landscape"),
        ((3000, 4000), "portrait"),
        ((1000, 1000), "square"),
        ((1010, 1000), "square"),
        ((6000, 3000), "panoramic"),
        ((600, 1300), "tall"),
        ((1, 1), "square"),
    ],
)
def test_orientation(size: tuple[int, int], word: str) -> None:
    assert orientation(*size) == word


# --------------------------------------------------------------------------------------------------------------------
# The analyzer


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (1, 40_000), (40_000, 1), (3, 50_000), (20, 20), (21, 21)])
def test_extreme_shapes(shape: tuple[int, int]) -> None:
    assert describe(flat(*shape, (0, 0, 0))).startswith("A plain black ")
    assert describe(noise(*shape)).endswith(".")


def test_views_that_are_not_contiguous() -> None:
    pixels = page()
    turned = np.rot90(pixels)
    assert describe(turned) == describe(np.ascontiguousarray(turned))
    assert describe(pixels[:, ::-1]) == describe(np.ascontiguousarray(pixels[:, ::-1]))


def test_answers_depend_on_no_other_image() -> None:
    code = np.repeat(qr_code("https://example.org/a", 9)[..., None], 3, axis=2)
    images = [page(), noise(700, 900), code, flat(9, 9, (255, 0, 0)), cv2.GaussianBlur(page(), (0, 0), 5)]
    pictures = [Picture(pixels, pixels.shape[1], pixels.shape[0], "PNG") for pixels in images]
    analyzer = Describe({})
    analyzer.load()
    together = analyzer.run(pictures)
    assert together == analyzer.run(pictures)
    assert together[::-1] == [analyzer.run([one])[0] for one in reversed(pictures)]


def test_spec_and_probe() -> None:
    assert load_class("describe") is Describe
    spec = Describe.spec
    assert (spec.task, spec.backend, spec.after) == (Task.CAPTION.value, Backend.PYTHON, (Task.TEXT,))
    probe = Describe.probe(EngineOptions())
    assert probe.available
    assert probe.model_version.startswith(f"opencv-{cv2.__version__}")


def test_the_parent_looks_at_it_without_importing_what_is_heavy() -> None:
    program = (
        "import sys; from imgtool.analyzers.caption.describe import Describe;"
        "from imgtool.options import EngineOptions;"
        "assert Describe.probe(EngineOptions()).available; Describe.parameters(EngineOptions());"
        "print(sorted({'numpy', 'cv2', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
