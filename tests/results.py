"""Results to write: ordinary ones as the engine makes them, and arbitrary ones for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from imgtool.types import (
    Backend,
    Box,
    CaptionResult,
    Chapter,
    Code,
    CodesResult,
    ImageResult,
    Label,
    LabelsResult,
    Problem,
    Status,
    TaskResults,
    TextLine,
    TextResult,
)

BOX: Box = ((1.0, 2.0), (30.5, 2.0), (30.5, 9.0), (1.0, 9.0))


def by(engine: str, **more: Any) -> dict[str, Any]:
    """The fields that say who answered."""
    return {"engine": engine, "model": engine, "model_version": "1", "backend": Backend.ONNX, "seconds": 0.25, **more}


def text(*lines: str) -> TextResult:
    """Recognised ``lines``, all in one place, with a confidence of 0.9."""
    return TextResult(value=tuple(TextLine(text=line, confidence=0.9, box=BOX) for line in lines), **by("rapidocr"))


def labels(**scores: float) -> LabelsResult:
    """Labels with their scores."""
    return LabelsResult(
        value=tuple(Label(label=name, score=score) for name, score in scores.items()), **by("classifier")
    )


def from_text(text: str) -> tuple[TextLine, ...]:
    """Plain text as recognised lines: each character one unit wide and two high."""
    return tuple(
        TextLine(line, 1.0, ((0.0, top), (len(line), top), (len(line), top + 2), (0.0, top + 2)))
        for top, line in ((3.0 * row, line) for row, line in enumerate(text.splitlines()))
    )


HS_CODE = Code(
    kind="hs",
    value="8471.30-0000",
    normalised="847130",
    national="0000",
    checked=True,
    edition="HS 2022",
    chapter=Chapter("84", "machinery and computers", "기계와 컴퓨터"),
    confidence=0.991,
    evidence=("label: HS CODE", "form: 4.2-4"),
    links=("https://tariff.example/847130",),
    box=BOX,
)
QR_CODE = Code(kind="qr", value="=1+2\nhttps://example.org", confidence=0.999, checked=True, box=BOX)


def codes(*found: Code) -> CodesResult:
    """The codes of an image."""
    return CodesResult(value=found, **by("codes"))


def caption(sentence: str, **more: Any) -> CaptionResult:
    """A caption by describe."""
    return CaptionResult(value=sentence, **by("describe", **more))


def answered(path: str = "photos/a.png", **tasks: Any) -> ImageResult:
    """An image whose ``tasks`` were all answered."""
    return ImageResult(
        path=path,
        sha256="ab" * 32,
        format="PNG",
        width=1000,
        height=600,
        file_size=1234,
        status=Status.OK,
        tasks=TaskResults(**tasks),
        processing_time_ms=12.3456,
        cache_enabled=True,
        from_cache=False,
    )


def failed(path: str = "photos/broken.jpg", message: str = "the file is cut short", remedy: str = "") -> ImageResult:
    """An image that could not be read."""
    return ImageResult(
        path=path,
        status=Status.FAILED,
        tasks=TaskResults(),
        error=Problem(code="truncated", message=message, remedy=remedy),
        processing_time_ms=0.5,
        cache_enabled=True,
        from_cache=False,
    )


def partial(path: str = "photos/slow.png") -> ImageResult:
    """An image with a caption whose text task ran out of time."""
    late = TextResult(
        error=Problem(code="timeout", message="no answer in 120 s", remedy="use --timeout 300"), **by("rapidocr")
    )
    return ImageResult(
        path=path,
        sha256="cd" * 32,
        format="PNG",
        width=10,
        height=20,
        status=Status.PARTIAL,
        tasks=TaskResults(caption=caption("A small picture."), text=late),
        processing_time_ms=120_000.0,
        cache_enabled=False,
        from_cache=False,
    )


ANY_STRING = st.text(st.characters(), max_size=300)
"""Every string that Python has, lone surrogates and control characters too."""

# Strings that hypothesis finds too rarely: what moves a cursor, turns the writing direction, joins or widens.
NASTY_STRING = st.text(
    st.sampled_from(
        "\x1b\x9b\x00\x07\x08\r\n\t\x7f\x85\u202e\u2066\u200d\ufe0f\u2028\ufeff\udc80한漢👩❤é\u0301 /.[31m;=+-@\"',"
    ),
    max_size=300,
)

_STRINGS = ANY_STRING | NASTY_STRING
_NUMBERS = st.floats(0, 1)


@st.composite
def any_result(draw: st.DrawFn) -> ImageResult:
    """A result with arbitrary strings in every place where file names, pictures and models have a say."""
    lines = draw(st.lists(st.builds(TextLine, text=_STRINGS, confidence=_NUMBERS, box=st.just(BOX)), max_size=6))
    classes = draw(st.lists(st.builds(Label, label=_STRINGS, score=_NUMBERS), max_size=4))
    found = st.builds(
        Code,
        kind=st.sampled_from(["hs", "qr", "ean13"]),
        value=_STRINGS,
        confidence=_NUMBERS,
        box=st.just(BOX),
        evidence=st.lists(_STRINGS, max_size=2).map(tuple),
    )
    problem = st.none() | st.builds(Problem, code=_STRINGS, message=_STRINGS, remedy=_STRINGS)
    tasks = TaskResults(
        caption=CaptionResult(value=draw(_STRINGS), **by(draw(_STRINGS), stands_in_for=draw(st.none() | _STRINGS))),
        text=TextResult(value=tuple(lines), **by("rapidocr", error=draw(problem))),
        labels=LabelsResult(value=tuple(classes), **by("classifier")),
        codes=CodesResult(value=tuple(draw(st.lists(found, max_size=3))), **by("codes")),
    )
    return ImageResult(
        path=draw(_STRINGS),
        page=draw(st.integers(0, 3)),
        pages=draw(st.integers(1, 4)),
        format=draw(st.none() | _STRINGS),
        width=draw(st.integers(0, 50_000)),
        height=draw(st.integers(0, 50_000)),
        status=draw(st.sampled_from(Status)),
        tasks=tasks,
        error=draw(problem),
        processing_time_ms=draw(st.floats(0, 1e6)),
        cache_enabled=True,
        from_cache=draw(st.booleans()),
    )
