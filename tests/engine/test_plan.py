"""Which engine answers: probed no further than needed, stand-ins in order, refusals with the right exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from imgtool.analyzers import registry
from imgtool.analyzers.interface import Analyzer, Answer, Probe
from imgtool.engine.engine import Engine
from imgtool.engine.plan import make_plan
from imgtool.errors import ExitCode, ModelMissing, UsageProblem
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions
from imgtool.types import Problem, Status, Task, TextLine
from tests import pictures
from tests.command import analyze, imgtool
from tests.planted import _spec

probed: list[str] = []


class Reader(Analyzer):
    """Reads the languages of its class."""

    spec = _spec("first", Task.TEXT)
    languages: tuple[str, ...] = ("en",)
    available = True

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        probed.append(cls.spec.name)
        reason = "" if cls.available else "planted absence"
        return Probe(cls.available, model="m", reason=reason, remedy="plant it", languages=cls.languages)

    def load(self) -> None:
        """Nothing to load."""

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        return [() for _ in pictures]


class Second(Reader):
    spec = _spec("second", Task.TEXT)
    languages = ("en", "ko")


class Third(Reader):
    spec = _spec("third", Task.TEXT)
    languages = ("ko", "en", "ja")


class Choosy(Reader):
    """Refuses every option."""

    spec = _spec("choosy", Task.TEXT)

    @classmethod
    def probe(cls, options: EngineOptions) -> Probe:
        probed.append("choosy")
        return Probe(False, reason="these options make no sense", remedy="leave them out")

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        raise UsageProblem("these options make no sense", "leave them out")


class Refusing(Third):
    """Available, and refuses the options all the same."""

    spec = _spec("refusing", Task.TEXT)

    @classmethod
    def parameters(cls, options: EngineOptions) -> dict[str, Any]:
        raise UsageProblem("refused", "")


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    probed.clear()
    for cls in (Reader, Second, Third, Choosy, Refusing):
        monkeypatch.setitem(registry.ANALYZERS, cls.spec.name, (f"{__name__}:{cls.__name__}",))
    _order(monkeypatch, "first", "second", "third")


def _order(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setitem(registry.ORDER, "text", names)


def text(**options: Any) -> EngineOptions:
    return EngineOptions(**{"tasks": (Task.TEXT,), **options})


def test_nobody_is_probed_behind_the_first_that_reads_all_languages() -> None:
    chosen = make_plan(text(languages=("en",))).chosen["text"]
    assert probed == ["first"]
    assert (chosen.spec.name, chosen.stands_in_for, chosen.notice) == ("first", None, None)
    assert [each.spec.name for each in chosen.stand_ins] == ["second", "third"]
    assert probed == ["first", "second", "third"]
    assert chosen.for_worker().stand_ins[0].analyzer == "second"
    assert probed == ["first", "second", "third"], "probed twice"


def test_one_that_reads_all_languages_comes_before_one_that_does_not() -> None:
    chosen = make_plan(text(languages=("ko", "en"))).chosen["text"]
    assert (chosen.spec.name, chosen.stands_in_for) == ("second", "first")
    assert probed == ["first", "second"]
    assert [each.spec.name for each in chosen.stand_ins] == ["third", "first"]


def test_where_nobody_reads_all_the_preferred_answers_and_says_what_it_cannot_read() -> None:
    chosen = make_plan(text(languages=("th",))).chosen["text"]
    assert chosen.spec.name == "first"
    assert chosen.notice == "first cannot read th; lines in such scripts are missing or wrong"
    assert probed == ["first", "second", "third"]


def test_strict_forbids_stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_plan(text(languages=("en",), strict=True)).chosen["text"].stand_ins == ()
    with pytest.raises(ModelMissing, match="would be answered by second, not first: it cannot read ko"):
        make_plan(text(languages=("ko",), strict=True))
    monkeypatch.setattr(Reader, "available", False)
    with pytest.raises(ModelMissing):
        make_plan(text(languages=("th",)))


def test_a_stand_in_that_refuses_the_options_is_no_help(monkeypatch: pytest.MonkeyPatch) -> None:
    _order(monkeypatch, "first", "refusing", "second")
    chosen = make_plan(text(languages=("en",))).chosen["text"]
    assert [each.spec.name for each in chosen.stand_ins] == ["second"]


def test_an_engine_that_was_named_and_refuses_the_options_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageProblem, match="make no sense"):
        make_plan(text(text_engine="choosy"))
    _order(monkeypatch, "choosy")
    with pytest.raises(ModelMissing, match="make no sense"):
        make_plan(text())


def test_an_engine_that_was_named_and_is_not_here_is_a_missing_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Third, "available", False)
    with pytest.raises(ModelMissing, match="planted absence"):
        make_plan(text(text_engine="third"))


def test_a_run_with_all_answers_kept_starts_no_other_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``tesseract`` could stand in for ``rapidocr``, and is asked nothing as long as nobody needs to know."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "tesseract").write_text(f"#!/bin/sh\necho $1 >>{tmp_path}/called\necho tesseract 9.8.7\n")
    (programs / "tesseract").chmod(0o755)
    data = tmp_path / "data"
    data.mkdir()
    (data / "eng.traineddata").write_bytes(b"eng")
    places: dict[str, Any] = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "TESSDATA_PREFIX": str(data),
        "EASYOCR_MODULE_PATH": str(tmp_path),
    }
    words = (pictures.flat(tmp_path / "a.png"), "-t", "text", "-l", "en")
    assert analyze(*words, **places).code is ExitCode.OK
    (tmp_path / "called").unlink(missing_ok=True)
    second = analyze(*words, **places)
    assert second.results[0]["tasks"]["text"]["from_cache"], second.err
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("flags", [("--ocr", "psm=0"), ("--text-engine", "tesseract", "--ocr", "psm=2")])
def test_options_that_read_nothing_are_wrong_usage_whoever_answers(tmp_path: Path, flags: tuple[str, ...]) -> None:
    done = imgtool("analyze", pictures.flat(tmp_path / "a.png"), "-t", "text", *flags)
    assert done.code is ExitCode.USAGE
    assert "--ocr: psm" in done.err


def test_a_cached_answer_has_the_notice_of_this_run(tmp_path: Path) -> None:
    photo = pictures.flat(tmp_path / "a.png")

    def notice(*languages: str) -> str | None:
        with Engine(text(languages=languages, text_engine="first", cache_dir=tmp_path / "cache")) as engine:
            (result,) = engine.analyze(photo)
        assert result.tasks.text is not None
        notices.append((result.from_cache, result.tasks.text.notice))
        return result.tasks.text.notice

    notices: list[tuple[bool, str | None]] = []
    first = notice("ko", "en")
    assert first is not None and "cannot read ko" in first
    notice("en")
    notice("ko", "en")
    assert notices == [(False, first), (True, None), (True, first)]


def test_an_image_is_partial_where_a_language_named_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = pictures.flat(tmp_path / "a.png")

    def status(**options: Any) -> tuple[Status, bool]:
        with Engine(text(text_engine="first", cache_dir=tmp_path / "cache", **options)) as engine:
            (result,) = engine.analyze(photo)
        assert result.tasks.text is not None
        return result.status, result.tasks.text.notice is not None

    assert status(languages=("en",)) == (Status.OK, False)
    assert status(languages=("ko", "en")) == (Status.PARTIAL, True)
    assert status() == (Status.OK, True), "nobody asked for Korean by name"


def test_what_is_said_before_the_run_is_two_lines_with_one_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    class Compiled(Reader):
        @classmethod
        def probe(cls, options: EngineOptions) -> Probe:
            return Probe(False, reason="not compiled", remedy="run `imgtool warm-cache first`")

    class Upstream(Reader):
        @classmethod
        def probe(cls, options: EngineOptions) -> Probe:
            return Probe(False, reason="torch is not installed", remedy="install it: `pip install 'x[torch]'`")

    here = sys.modules[__name__]
    for cls in (Compiled, Upstream):
        monkeypatch.setattr(here, cls.__name__, cls, raising=False)
    monkeypatch.setitem(registry.ANALYZERS, "first", (f"{__name__}:Compiled", f"{__name__}:Upstream"))
    plan = make_plan(text(languages=("ko", "en")))
    assert plan.notices == [
        "text: second stands in for first: torch is not installed",
        "to mend that: pip install 'x[torch]' && imgtool warm-cache first",
    ]
    assert "not compiled; torch is not installed" in (plan.chosen["text"].notice or "")


class Words(Reader):
    spec = _spec("words", Task.TEXT)

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        box = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))
        return [tuple(TextLine(each, 0.9, box) for each in ("HELLO  4 WORLD 2", "none")) for _ in pictures]


@pytest.mark.parametrize(
    ("ocr", "lines", "notice"),
    [
        ({}, ["HELLO  4 WORLD 2", "none"], None),
        ({"allowlist": "0123456789"}, ["4 2"], "allowlist applied to what words read"),
        ({"allowlist": "0123456789no", "blocklist": "24"}, ["non"], "allowlist and blocklist applied"),
        ({"psm": 6, "rotations": (90,)}, ["HELLO  4 WORLD 2", "none"], "words has no parameter psm and no rotations"),
    ],
)
def test_parameters_that_the_engine_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ocr: dict[str, Any], lines: list[str], notice: str | None
) -> None:
    monkeypatch.setitem(registry.ANALYZERS, "words", (f"{__name__}:Words",))
    photo = pictures.flat(tmp_path / "a.png")
    for asked in ({"psm": 3} if not ocr else {}, ocr):
        options = text(languages=("en",), text_engine="words", cache_dir=tmp_path / "cache", ocr=asked)
        with Engine(options) as engine:
            (result,) = engine.analyze(photo)
    assert result.from_cache
    assert result.tasks.text is not None and result.lines is not None
    assert [line.text for line in result.lines] == lines
    assert (notice or "") in (result.tasks.text.notice or "")
    assert (notice is None) == (result.tasks.text.notice is None)
