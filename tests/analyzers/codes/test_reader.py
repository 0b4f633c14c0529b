"""The task ``codes`` as a whole: from files to results, with and without text, and in every format."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zxingcpp
from PIL import Image

from imgtool import Engine, ImageResult, Status
from imgtool.analyzers.codes.reader import CodeReader
from imgtool.analyzers.interface import Answer
from imgtool.analyzers.registry import load_class
from imgtool.distribution import install_command
from imgtool.engine.plan import make_plan
from imgtool.errors import ConfigProblem, ExitCode, ModelLoadFailed, UsageProblem
from imgtool.inference.picture import Picture
from imgtool.options import EngineOptions
from imgtool.types import CodesResult, Problem, Task, TextLine, result_schema
from tests.command import analyze, imgtool
from tests.planted import Hazard, _spec

LINES = (
    TextLine("COMMERCIAL INVOICE", 0.99, ((40, 20), (300, 20), (300, 40), (40, 40))),
    TextLine("HS CODE: 8471.30.0100", 0.98, ((40, 60), (250, 60), (250, 80), (40, 80))),
    TextLine("Tel 02-8471-3000", 0.97, ((40, 100), (200, 100), (200, 120), (40, 120))),
)


class Scripted(Hazard):
    """Reads the lines of this module in every image; none in a black one, where it fails."""

    spec = _spec("scripted", Task.TEXT)

    def _one(self, picture: Picture) -> Any:
        if not picture.pixels.any():
            return Problem("model_failed", "planted failure", "use another")
        return LINES

    def run(self, pictures: Sequence[Picture]) -> list[Answer | Problem]:
        return [self._one(picture) for picture in pictures]


SCRIPTED = "tests.analyzers.codes.test_reader:Scripted"


def invoice(path: Path, payload: str = "https://example.org/pay/42") -> Path:
    """A white page with a QR code in its lower half."""
    code = zxingcpp.create_barcode(payload, zxingcpp.BarcodeFormat.QRCode)
    page = Image.new("RGB", (500, 400), "white")
    page.paste(Image.fromarray(np.asarray(code.to_image(scale=4))), (200, 200))
    page.save(path)
    return path


def run(*paths: Path, **options: Any) -> list[ImageResult]:
    with Engine(tasks=["codes"], text_engine=SCRIPTED, **options) as engine:
        return list(engine.analyze(paths))


def codes_of(result: ImageResult) -> CodesResult:
    assert isinstance(result.tasks.codes, CodesResult)
    return result.tasks.codes


def test_codes_of_pixels_and_of_text(tmp_path: Path) -> None:
    (result,) = run(invoice(tmp_path / "invoice.png"), cache_dir=tmp_path / "cache")
    assert result.status is Status.OK
    assert result.tasks.get(Task.TEXT) is not None  # implied
    barcode, tariff = codes_of(result).value or ()
    assert (barcode.kind, barcode.value, barcode.checked) == ("qr", "https://example.org/pay/42", True)
    assert barcode.links == ()  # what a stranger's code says is a value, not an address to click on
    assert 200 <= barcode.box[0][0] <= 240
    assert (tariff.kind, tariff.value, tariff.normalised, tariff.national) == ("hs", "8471.30.0100", "847130", "0100")
    assert (tariff.checked, tariff.edition) == (True, "HS 2022")
    assert tariff.chapter is not None
    assert (tariff.chapter.number, tariff.chapter.english) == ("84", "machinery and computers")
    assert tariff.links[0] == "https://hts.usitc.gov/search?query=8471.30"
    assert 110 < tariff.box[0][0] < 160  # after the label, within its line
    (again,) = run(tmp_path / "invoice.png", cache_dir=tmp_path / "cache")
    assert again.from_cache
    assert codes_of(again).value == codes_of(result).value


def test_kept_text_is_not_read_again(tmp_path: Path) -> None:
    path = invoice(tmp_path / "invoice.png")
    with Engine(tasks=["text"], text_engine=SCRIPTED, cache_dir=tmp_path / "cache") as engine:
        list(engine.analyze([path]))
    (result,) = run(path, cache_dir=tmp_path / "cache")
    assert (result.tasks.get(Task.TEXT).from_cache, codes_of(result).from_cache) == (True, False)  # type: ignore[union-attr]
    assert [code.kind for code in codes_of(result).value or ()] == ["qr", "hs"]


def test_where_the_text_fails_codes_are_not_given_as_if_there_were_none(tmp_path: Path) -> None:
    Image.new("RGB", (200, 100), "black").save(tmp_path / "black.png")
    (result,) = run(tmp_path / "black.png", cache_dir=tmp_path / "cache")
    answer = codes_of(result)
    assert result.status is Status.FAILED
    assert answer.value is None
    assert answer.error is not None
    assert answer.error.code == "text_missing"
    (alone,) = run(tmp_path / "black.png", cache_dir=tmp_path / "cache", codes={"find": "barcodes"})
    assert (alone.status, codes_of(alone).value) == (Status.OK, ())


def test_barcodes_alone_need_no_text(tmp_path: Path) -> None:
    (result,) = run(invoice(tmp_path / "invoice.png"), cache_dir=tmp_path / "cache", codes={"find": "barcodes"})
    assert result.tasks.get(Task.TEXT) is None
    assert [code.kind for code in codes_of(result).value or ()] == ["qr"]


def test_tariff_numbers_alone_and_other_links(tmp_path: Path) -> None:
    options = {"find": "hs", "links": ["https://tariff.example/{hs}/{national}"]}
    (result,) = run(invoice(tmp_path / "invoice.png"), cache_dir=tmp_path / "cache", codes=options)
    (code,) = codes_of(result).value or ()
    assert code.links == ("https://tariff.example/847130/0100",)


@pytest.mark.parametrize(
    "options",
    [
        {"find": "everything"},
        {"links": ["https://example.org/"]},
        {"links": ["javascript:alert({hs})"]},
        {"min_confidence": 2},
        {"min_confidence": "high"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises((UsageProblem, ConfigProblem)):
        run(codes=options)


def test_codes_are_not_asked_unless_somebody_says_so() -> None:
    assert Task.CODES.value not in make_plan(EngineOptions()).chosen
    assert list(make_plan(EngineOptions(tasks=(Task.CODES,))).chosen) == ["text", "codes"]


def test_spec_probe_and_schema() -> None:
    assert load_class("codes") is CodeReader
    probe = CodeReader.probe(EngineOptions())
    assert probe.available
    assert probe.model == "HS 2022"
    assert probe.model_version.startswith("zxing-cpp-3.")
    assert "Code" in result_schema()["$defs"]


HIDING = """
import importlib.util as u, runpy, sys
really = u.find_spec
u.find_spec = lambda name, *rest: None if name == "zxingcpp" else really(name, *rest)
sys.argv[0] = "imgtool"
runpy.run_module("imgtool", run_name="__main__")
"""
"""Runs the command as if zxing-cpp were not installed."""


def test_a_missing_zxing_cpp_is_named_and_tariff_numbers_do_without_it(tmp_path: Path) -> None:
    def without(*given: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", HIDING, "analyze", invoice(tmp_path / "invoice.png"), *given]
        options = ("-t", "codes", "--text-engine", SCRIPTED, "--cache-dir", tmp_path / "cache", "-f", "jsonl")
        return subprocess.run([*map(str, command), *map(str, options)], capture_output=True, text=True, check=False)

    refused = without()
    assert refused.returncode == ExitCode.MODEL_MISSING
    assert "zxingcpp cannot be imported" in refused.stderr
    assert install_command(again=True) in refused.stderr
    (code,) = json.loads(without("--codes", "find=hs").stdout)["tasks"]["codes"]["value"]
    assert code["value"] == "8471.30.0100"


def test_a_broken_zxing_cpp_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zxingcpp", None)
    monkeypatch.delitem(sys.modules, "imgtool.analyzers.codes.barcodes", raising=False)
    with pytest.raises(ModelLoadFailed, match="zxing-cpp or OpenCV cannot be loaded") as caught:
        CodeReader(CodeReader.parameters(EngineOptions())).load()
    assert install_command(again=True) in caught.value.remedy
    CodeReader(CodeReader.parameters(EngineOptions(codes={"find": "hs"}))).load()


def test_the_parent_looks_at_it_without_importing_what_is_heavy() -> None:
    program = (
        "import sys; from imgtool.analyzers.codes.reader import CodeReader;"
        "from imgtool.options import EngineOptions;"
        "assert CodeReader.probe(EngineOptions()).available; CodeReader.parameters(EngineOptions());"
        "print(sorted({'numpy', 'cv2', 'zxingcpp', 'imgtool.analyzers.codes.hs.labels'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_parameters_from_the_command_line(tmp_path: Path) -> None:
    path = invoice(tmp_path / "invoice.png")
    given = ("-t", "codes", "--text-engine", SCRIPTED, "--cache-dir", tmp_path / "cache")
    links = "links=https://tariff.example/{hs},https://other.example/{code}"
    (result,) = analyze(path, *given, "--codes", "find=hs", "--codes", links).results
    (code,) = result["tasks"]["codes"]["value"]
    assert code["links"] == ["https://tariff.example/847130", "https://other.example/8471300100"]
    refused = analyze(path, *given, "--codes", "links=ftp://tariff.example/{hs}")
    assert refused.code is ExitCode.USAGE
    assert "https://" in refused.err
    assert "links" in imgtool("models", "codes").out


def test_from_the_command_line_in_every_format(tmp_path: Path) -> None:
    path = invoice(tmp_path / "invoice.png", "a,b;c=\n4")
    given = ("-t", "codes", "--text-engine", SCRIPTED, "--cache-dir", tmp_path / "cache")
    table = imgtool("analyze", path, *given, "-f", "table")
    assert table.code is ExitCode.OK
    assert "codes    qr a,b;c= 4 · hs 8471.30.0100" in " ".join(table.out.split("\n"))
    (result,) = analyze(path, *given).results
    assert [code["value"] for code in result["tasks"]["codes"]["value"]] == ["a,b;c=\n4", "8471.30.0100"]
    (row,) = csv.DictReader(io.StringIO(imgtool("analyze", path, *given, "-f", "csv").out))
    assert row["codes"].startswith("qr a,b;c= 4 ")
    assert "; hs 8471300100 " in row["codes"]
    assert row["codes_engine"] == "codes"
    page = tmp_path / "gallery.html"
    assert imgtool("analyze", path, *given, "-o", page).code is ExitCode.OK
    assert "8471.30.0100" in page.read_text()
    parquet = pytest.importorskip("pyarrow.parquet")
    assert imgtool("analyze", path, *given, "-o", tmp_path / "out.parquet").code is ExitCode.OK
    (line,) = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert line["codes"][1]["chapter"] == {
        "number": "84",
        "english": "machinery and computers",
        "korean": "기계와 컴퓨터",
    }
    assert len(line["codes"][0]["box"]) == 8
    assert line["codes_run"]["engine"] == "codes"


def test_no_codes_are_said_to_be_none() -> None:
    (picture,) = [Picture(np.full((60, 60, 3), 255, np.uint8), 60, 60, "PNG", {Task.TEXT: ()})]
    reader = CodeReader(CodeReader.parameters(EngineOptions()))
    reader.load()
    assert reader.run([picture]) == [()]


def test_the_schema_names_codes() -> None:
    schema = json.loads(imgtool("schema").out)
    assert {"kind", "value", "normalised", "national", "checked", "edition", "chapter", "links", "box"} <= set(
        schema["$defs"]["Code"]["properties"]
    )
