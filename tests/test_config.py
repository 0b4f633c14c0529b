"""Where options come from, which source wins, and what is refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.config import Resolved, convert_options, resolve
from imgtool.errors import ConfigProblem, UnknownKey, UsageProblem
from imgtool.options import EngineOptions, OutputOptions
from imgtool.quantities import parse_duration, parse_size
from imgtool.types import Task


def settle(tmp_path: Path, flags: dict[str, Any] | None = None, **environ: str) -> Resolved:
    return resolve(flags or {}, environ=environ, folder=tmp_path, user_file=tmp_path / "user.toml")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """All four files and the default set ``top_k`` to something else."""
    (tmp_path / "user.toml").write_text("top-k = 1\nbatch_size = 1\n")
    (tmp_path / "pyproject.toml").write_text("[tool.imgtool]\ntop_k = 2\nbatch_size = 2\nworkers = 2\n")
    (tmp_path / "imgtool.toml").write_text("top_k = 3\nbatch_size = 3\n")
    return tmp_path


def test_options_that_are_logged_hide_the_url_of_the_shared_cache() -> None:
    options = convert_options(EngineOptions(), {"shared_cache": "redis://:s3cret@host/0?password=s3cret"})
    assert "shared_cache='...'" in repr(options)
    assert "s3cret" not in f"{options} {options!r} {[options]}"
    assert "top_k=None, threshold=0.0" in repr(options)
    assert "shared_cache=None" in repr(EngineOptions())


def test_flag_over_environment_over_files_over_default(sources: Path) -> None:
    assert settle(sources, {"top_k": "9"}, IMGTOOL_TOP_K="8").engine.top_k == 9
    assert settle(sources, {"top_k": None}, IMGTOOL_TOP_K="8").engine.top_k == 8
    assert settle(sources).engine.top_k == 3
    (sources / "imgtool.toml").unlink()
    assert settle(sources).engine.top_k == 2
    (sources / "pyproject.toml").unlink()
    assert settle(sources).engine.top_k == 1
    (sources / "user.toml").unlink()
    assert settle(sources).engine.top_k == EngineOptions().top_k


def test_the_origin_of_every_option_is_known(sources: Path) -> None:
    origins = settle(sources, {"top_k": 9}, IMGTOOL_TIMEOUT="3s").origins
    assert origins["top_k"] == "flag"
    assert origins["timeout"] == "environment"
    assert origins["batch_size"].endswith("imgtool.toml")
    assert "pyproject.toml" in origins["workers"]


def test_files_are_found_from_a_folder_below(sources: Path) -> None:
    below = sources / "a" / "b"
    below.mkdir(parents=True)
    assert resolve({}, environ={}, folder=below, user_file=sources / "none").engine.top_k == 3


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("tasks", "text, caption", (Task.TEXT, Task.CAPTION)),
        ("cache", "no", False),
        ("strict", "1", True),
        ("cache_size", "1.5GiB", 1536 * 1024**2),
        ("timeout", "2m", 120.0),
        ("cache_dir", "/somewhere", Path("/somewhere")),
        ("ocr", "psm=6,rotations=90,180,paragraph=yes", {"psm": 6, "rotations": (90, 180), "paragraph": True}),
        ("classifier", "mean=0.5,0.5,0.5,layout=nhwc", {"mean": (0.5, 0.5, 0.5), "layout": "NHWC"}),
        (
            "codes",
            "find=hs,links=https://a.example/{hs},https://b.example/{code}",
            {"find": "hs", "links": ("https://a.example/{hs}", "https://b.example/{code}")},
        ),
        ("pages", "all", "all"),
    ],
)
def test_the_environment_speaks_the_language_of_flags(tmp_path: Path, name: str, text: str, value: object) -> None:
    by_environment = getattr(settle(tmp_path, **{f"IMGTOOL_{name.upper()}": text}).engine, name)
    by_flag = getattr(settle(tmp_path, {name: text}).engine, name)
    assert by_environment == by_flag == value


def test_every_option_can_be_set_from_the_environment(tmp_path: Path) -> None:
    """No option has a type that text cannot reach."""
    samples = {
        "tasks": "text",
        "load": "eager",
        "pages": "all",
        "truncated": "accept",
        "sandbox": "off",
        "format": "csv",
        "text_out": "pdf,hocr",
        "sidecar": "xmp",
        "cache_ttl": "3d",
        "max_failure_rate": "0.5",
        "backend": "onnx",
        "precision": "fast",
        "weights": "synthetic",
        "scale": "small",
        "ocr": "psm=6",
        "classifier": "size=32",
        "codes": "find=hs",
        "node_timeout": "30s",
    }
    for options in (EngineOptions, OutputOptions):
        for field in msgspec.structs.fields(options):
            text = samples.get(field.name, "1")
            settle(tmp_path, **{f"IMGTOOL_{field.name.upper()}": text})


@pytest.mark.parametrize(
    ("file", "text"),
    [("imgtool.toml", "tassk = 1"), ("pyproject.toml", "[tool.imgtool]\ntassk = 1"), ("user.toml", "tassk = 1")],
)
def test_an_unknown_key_in_any_file_is_refused(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(UnknownKey, match="tassk") as caught:
        settle(tmp_path)
    assert "'tasks'" in caught.value.remedy
    assert file in str(caught.value)


def test_an_unknown_variable_is_called_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownKey, match="IMGTOOL_TASSK") as caught:
        settle(tmp_path, IMGTOOL_TASSK="text")
    assert "'IMGTOOL_TASKS'" in caught.value.remedy


@pytest.mark.parametrize("name", ["top_k", "cache_size", "max_pixels", "pdf_dpi"])
def test_a_number_that_no_worker_can_be_sent_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "imgtool.toml").write_text(f"{name} = {10**19}")
    with pytest.raises(UsageProblem, match=rf"{name} \(from .*{10**19}"):
        settle(tmp_path)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "imgtool.toml").write_text("top_k = = 3")
    with pytest.raises(ConfigProblem, match=r"imgtool\.toml"):
        settle(tmp_path)


def test_a_wrong_type_in_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "imgtool.toml").write_text('top_k = ["a"]')
    with pytest.raises(ConfigProblem, match="top_k"):
        settle(tmp_path)


@given(st.integers(0, 10**15))
def test_plain_numbers_are_bytes(number: int) -> None:
    assert parse_size(str(number)) == number


@given(st.integers(0, 9999), st.sampled_from(["", "k", "m", "g", "t"]), st.booleans())
def test_units_are_powers_of_their_base(number: int, unit: str, binary: bool) -> None:
    base = 1024 if binary and unit else 1000
    text = f"{number}{unit}{'i' if binary and unit else ''}B"
    assert parse_size(text) == number * base ** ["", "k", "m", "g", "t"].index(unit)


@given(st.floats(0, 36_000), st.sampled_from(["ms", "s", "m", "h", "d", ""]))
def test_durations_scale(number: float, unit: str) -> None:
    factor = {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert parse_duration(f"{number:.9f}{unit}") == pytest.approx(number * factor, rel=1e-6, abs=1e-9 * factor)


@pytest.mark.parametrize("digits", [20, 400, 5000])
def test_numbers_of_very_many_digits_are_refused(tmp_path: Path, digits: int) -> None:
    """Python makes infinity of some, and an OverflowError of others."""
    number = "9" * digits
    with pytest.raises(ValueError, match="more than any disk holds"):
        parse_size(number)
    with pytest.raises(ValueError, match="more than a hundred years"):
        parse_duration(number)
    if digits > 20:
        with pytest.raises(UsageProblem, match="text_threshold"):
            settle(tmp_path, {"ocr": [f"text_threshold={number}"]})


@given(st.text(max_size=8))
def test_what_is_no_size_is_refused_and_nothing_else_is_raised(text: str) -> None:
    with suppress(ValueError):
        assert parse_size(text) >= 0


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = tmp_path / "a" / "b"
    (tmp_path / "blip").mkdir()
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    (tmp_path / "imgtool.toml").write_text(
        'labels_model = "m.onnx"\nlabels_file = "/names.txt"\ncache_dir = "~/cache"\noutput = ["r.csv", "-"]\n'
        'stats = "s.json"\ndatabase = "r.sqlite"\ncaption_model = "blip"\ninclude = ["*.jpg"]\n'
    )
    found = resolve({}, environ={"IMGTOOL_EASYOCR_DIR": "e"}, folder=below, user_file=tmp_path / "none.toml")
    engine, output = found.engine, found.output
    assert (engine.labels_model, engine.labels_file) == (tmp_path / "m.onnx", Path("/names.txt"))
    assert (engine.cache_dir, engine.easyocr_dir) == (Path("~/cache"), Path("e"))
    assert (output.output, output.stats) == ((tmp_path / "r.csv", Path("-")), str(tmp_path / "s.json"))
    assert (output.database, engine.caption_model) == (str(tmp_path / "r.sqlite"), str(tmp_path / "blip"))
    assert engine.include == ("*.jpg",)
    (tmp_path / "imgtool.toml").write_text('database = "off"\ncaption_model = "Salesforce/blip"\nstats = "-"\n')
    found = resolve({}, environ={}, folder=below, user_file=tmp_path / "none.toml")
    assert (found.output.database, found.engine.caption_model, found.output.stats) == ("off", "Salesforce/blip", "-")
    for url, meant in (
        ("sqlite:///r.sqlite", f"sqlite:///{tmp_path}/r.sqlite"),
        ("sqlite:////srv/r.sqlite", "sqlite:////srv/r.sqlite"),
        ("postgresql://host/name", "postgresql://host/name"),
    ):
        (tmp_path / "imgtool.toml").write_text(f'database = "{url}"\n')
        found = resolve({}, environ={}, folder=below, user_file=tmp_path / "none.toml")
        assert found.output.database == meant


@pytest.mark.parametrize(
    ("where", "remedy"), [("file", "classifier.mean = ..."), ("variable", 'IMGTOOL_CLASSIFIER="mean=..."')]
)
def test_a_key_of_earlier_versions_is_answered_with_todays(tmp_path: Path, where: str, remedy: str) -> None:
    if where == "file":
        (tmp_path / "imgtool.toml").write_text('labels_mean = "0,0,0"\n')
    with pytest.raises(UnknownKey, match=r"(?i)labels_mean") as caught:
        resolve(
            {}, environ={"IMGTOOL_LABELS_MEAN": "0,0,0"} if where == "variable" else {}, folder=tmp_path,
            user_file=tmp_path / "none",
        )  # fmt: skip
    assert remedy in str(caught.value.remedy)
