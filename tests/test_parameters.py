"""The parameters of engines: what each takes, how they are written, and which source sets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool import Engine
from imgtool.analyzers.labels.settings import CONVERTERS
from imgtool.config import Resolved, convert_options, resolve
from imgtool.errors import ConfigProblem, UnknownKey, UsageProblem
from imgtool.inference.easyocr.parameters import reading_parameters
from imgtool.options import EngineOptions
from imgtool.parameters import TABLES, parameters_of
from imgtool.quantities import split_settings

WORDS_FOR_A_DEFAULT = {"none", "all", "the model's", "the mean", "the best"}


def settle(tmp_path: Path, flags: dict[str, Any] | None = None, **environ: str) -> Resolved:
    return resolve(flags or {}, environ=environ, folder=tmp_path, user_file=tmp_path / "user.toml")


@pytest.mark.parametrize("option", TABLES)
def test_every_default_that_is_stated_can_be_set(tmp_path: Path, option: str) -> None:
    for name, parameter in TABLES[option].items():
        if parameter.default not in WORDS_FOR_A_DEFAULT:
            options = settle(tmp_path, {option: [f"{name}={parameter.default}"]}).engine
            assert name in getattr(options, option)


def test_every_parameter_reaches_its_engine() -> None:
    easyocr = {parameter.name for parameter in parameters_of("easyocr")[1]}
    given = reading_parameters(EngineOptions(ocr=dict.fromkeys(TABLES["ocr"], 1)))
    assert len({**given["detect"], **given["recognize"], "order": "raw"}) == len(easyocr)
    assert set(TABLES["ocr"]) == easyocr | {"psm"}
    assert set(TABLES["classifier"]) == set(CONVERTERS) - {"labels"}
    assert [parameter.name for parameter in parameters_of("rapidocr")[1]] == ["order"]


def test_what_easyocr_gets_is_in_its_own_words_and_kinds(tmp_path: Path) -> None:
    """The fingerprints of results that are already stored depend on it."""
    written = "decoder=beamsearch,rotations=90,180,mag_ratio=2,min_size=5,paragraph=no,contrast_threshold=0"
    options = settle(tmp_path, IMGTOOL_OCR=written, IMGTOOL_LANGUAGES="ko").engine
    assert reading_parameters(options) == {
        "languages": ["ko"],
        "detect": {"min_size": 5, "mag_ratio": 2.0},
        "recognize": {
            "decoder": "beamsearch",
            "paragraph": False,
            "contrast_ths": 0.0,
            "rotation_info": [90, 180],
        },
    }
    assert isinstance(options.ocr["mag_ratio"], float)


@pytest.mark.parametrize(
    ("flags", "error", "words"),
    [
        ({"ocr": ["paragraf=yes"]}, UnknownKey, "'paragraf'"),
        ({"ocr": ["size=3"]}, UnknownKey, "'size'"),
        ({"ocr": ["paragraph"]}, UsageProblem, "NAME=VALUE"),
        ({"ocr": ["paragraph=maybe"]}, ConfigProblem, "'maybe' is not yes or no"),
        ({"ocr": ["beam_width=few"]}, ConfigProblem, "'few' is not a whole number"),
        ({"ocr": ["rotations=90,x"]}, ConfigProblem, "'90,x' is not a whole number, or a list of them"),
        ({"ocr": ["decoder=guess"]}, ConfigProblem, "greedy, beamsearch, wordbeamsearch"),
        ({"ocr": ["mag_ratio=0"]}, ConfigProblem, "between 0.01 and 100"),
        ({"ocr": ["text_threshold=nan"]}, ConfigProblem, "between 0 and 1"),
        *(({"ocr": [f"psm={mode}"]}, ConfigProblem, "reads no text") for mode in (0, 2, 14, -1)),
        ({"ocr": 3}, ConfigProblem, "not a table"),
        ({"classifier": ["mean=0.1,0.2"]}, ConfigProblem, "2 numbers"),
        ({"classifier": ["std=0"]}, ConfigProblem, "not more than 0"),
        ({"classifier": ["crop_pct=1.5"]}, ConfigProblem, "not between 0 and 1"),
        ({"classifier": ["size=22x"]}, ConfigProblem, "not a size"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, flags: Any, error: type[UsageProblem], words: str) -> None:
    (option,) = flags
    with pytest.raises(error, match=f"--{option}") as caught:
        settle(tmp_path, flags)
    assert words in str(caught.value)
    assert "imgtool models" in caught.value.remedy


def test_the_nearest_name_is_offered(tmp_path: Path) -> None:
    with pytest.raises(UnknownKey) as caught:
        settle(tmp_path, IMGTOOL_OCR="textthreshold=0.5")
    assert "'text_threshold'" in caught.value.remedy
    assert "ocr (from environment)" in str(caught.value)


def test_each_parameter_comes_from_the_strongest_source_that_sets_it(tmp_path: Path) -> None:
    (tmp_path / "user.toml").write_text("[ocr]\nmin-size = 1\nbeam_width = 1\ncanvas_size = 1\nmag_ratio = 1\n")
    (tmp_path / "pyproject.toml").write_text("[tool.imgtool.ocr]\nmin_size = 2\nbeam_width = 2\ncanvas_size = 2\n")
    (tmp_path / "imgtool.toml").write_text(
        "[ocr]\nmin_size = 3\nbeam_width = 3\n[classifier]\nsize = [32, 48]\nmean = 0.5\n"
    )
    resolved = settle(tmp_path, {"ocr": ["min-size=5"]}, IMGTOOL_OCR="min_size=4")
    assert resolved.engine.ocr == {"min_size": 5, "beam_width": 3, "canvas_size": 2, "mag_ratio": 1.0}
    assert resolved.engine.classifier == {"size": (32, 48), "mean": (0.5,)}
    assert resolved.origins["ocr.min_size"] == "flag"
    assert resolved.origins["ocr.beam_width"].endswith("imgtool.toml")
    assert settle(tmp_path, IMGTOOL_OCR="min_size=4").engine.ocr["min_size"] == 4


def test_an_unknown_name_in_a_file_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "imgtool.toml").write_text("[classifier]\nresiz = 'pad'\n")
    with pytest.raises(UnknownKey, match=r"imgtool\.toml") as caught:
        settle(tmp_path)
    assert "'resize'" in caught.value.remedy


def test_python_takes_mappings(tmp_path: Path) -> None:
    with Engine(ocr={"paragraph": True, "rotations": [90]}, classifier={"resize": "PAD"}, cache=False) as engine:
        assert engine.options.ocr == {"paragraph": True, "rotations": (90,)}
        assert engine.options.classifier == {"resize": "pad"}
    with pytest.raises(UnknownKey, match="argument"):
        Engine(ocr={"paragraf": True})
    base = EngineOptions(ocr={"psm": 6})
    assert convert_options(base, {"ocr": {"min_size": None}}).ocr == {"psm": 6}
    assert base.ocr == {"psm": 6}


def test_a_comma_may_be_part_of_a_value() -> None:
    assert split_settings("mean=0.5,0.5,0.5, resize = pad,allowlist=a,b") == [
        "mean=0.5,0.5,0.5",
        " resize = pad",
        "allowlist=a,b",
    ]
    assert split_settings("") == []


@given(st.lists(st.tuples(st.sampled_from(["a", "b-c", "d_e"]), st.text("01,. ", max_size=6)), min_size=1))
def test_settings_are_split_where_the_next_name_is(settings: list[tuple[str, str]]) -> None:
    text = ",".join(f"{name}={value}" for name, value in settings)
    assert ",".join(split_settings(text)) == text
    assert [part.partition("=")[0].strip() for part in split_settings(text)] == [name for name, _ in settings]
