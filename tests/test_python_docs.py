"""The examples of docs/python.md, and of the README, are run and type-checked as a user would write them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import imgtool
from imgtool.types import ImageResult
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^## (.*)$", re.M)
STANDINS = 'Engine(caption_engine="tests.planted:Numbered", text_engine="tests.planted:NumberedText", '
"""Analyzers that answer at once."""

FASTAPI_USE = """
from pathlib import Path
from fastapi.testclient import TestClient
with TestClient(app) as client:
    answer = client.post("/predict", content=Path("photos/receipt.png").read_bytes())
    print(answer.status_code, answer.json()["tasks"]["caption"]["value"])
    answer = app.openapi()["paths"]["/predict"]["post"]["responses"]["200"]
    print(sorted(answer["content"]["application/json"]["schema"]["properties"])[:2])
"""


def examples() -> list[tuple[str, str]]:
    """The blocks, each with the heading that it stands under."""
    found = []
    for block in re.finditer(r"^```python\n(.*?)^```", TEXT, flags=re.M | re.S):
        headings = SECTION.findall(TEXT, 0, block.start())
        found.append((headings[-1] if headings else "Start", block[1]))
    return found


EXAMPLES = examples()


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the photos that the examples speak of."""
    photos = tmp_path / "desk" / "photos"
    photos.mkdir(parents=True)
    for number, name in enumerate(("receipt.png", "sign.png")):
        Image.new("RGB", (40, 30), (0, number, 90)).save(photos / name)
    pages = [Image.new("RGB", (40, 30), (1, number, 90)) for number in range(3)]
    pages[0].save(photos / "scan.tif", save_all=True, append_images=pages[1:])
    return photos.parent


def run(code: str, desk: Path) -> str:
    script = desk / "program.py"
    script.write_text(code, encoding="utf-8")
    environ = {**os.environ, "XDG_CACHE_HOME": str(desk / "cache"), "HOME": str(desk)}
    done = subprocess.run(
        [sys.executable, script], cwd=desk, env=environ, check=False, capture_output=True, text=True, timeout=240
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_there_are_examples_of_each_kind() -> None:
    headings = {heading for heading, _ in EXAMPLES}
    assert {"Start", "In a notebook", "In threads", "In asyncio", "In FastAPI", "In several processes"} <= headings


EXPECTED = {
    "Start": "number 0\nnumber 0\n",
    "What a source is": "receipt number 0\n",
    "What a result is": "photos/missing.png failed: no such file",
    "In a notebook": "photos/scan.tif number 258\nphotos/sign.png number 1\n",
    "In FastAPI": "200 number 0\n['cache_enabled', 'error']\n",
    "In several processes": "[['number 0'], ['number 1']]\n",
    "Shutting down": "number 0\nnumber 1\n",
}
"""Something that the examples of a section print."""


@pytest.mark.parametrize(("heading", "code"), EXAMPLES, ids=[heading for heading, _ in EXAMPLES])
def test_an_example_runs(heading: str, code: str, desk: Path) -> None:
    if heading == "In FastAPI":
        code += FASTAPI_USE
    out = run(re.sub(r"\bEngine\((?=tasks)", STANDINS, code), desk)
    if heading in EXPECTED and "parts(" not in code:
        assert EXPECTED[heading] in out


@pytest.mark.slow
@pytest.mark.parametrize(("heading", "code"), EXAMPLES, ids=[heading for heading, _ in EXAMPLES])
def test_an_example_runs_with_the_analyzers_that_a_user_has(heading: str, code: str, desk: Path) -> None:
    if heading == "In FastAPI":
        code += FASTAPI_USE
    # English alone: with Korean, an installed Tesseract would take minutes.
    run(re.sub(r"\bEngine\((?=tasks)", 'Engine(languages=["en"], ', code), desk)


EVERY_NAME = '''
"""Uses every public name of the package as a strictly typed program would."""

import asyncio
import io
from dataclasses import dataclass
from pathlib import Path

from fastapi import UploadFile

import imgtool
from imgtool import (
NAMES
)


@dataclass
class Row:
    result: ImageResult


def lines(result: ImageResult) -> list[str]:
    found: tuple[TextLine, ...] = result.lines or ()
    return [f"{line.text} {line.confidence:.2f} {line.box[0][0]}" for line in found]


def labels(result: ImageResult) -> dict[str, float]:
    found: tuple[Label, ...] = result.labels or ()
    return {label.label: label.score for label in found}


def first(ticket: Ticket) -> str:
    parts: Parts = ticket.parts(timeout=1.5)
    part: Part
    for part in parts:
        task: Task
        task, answer = part
        return f"{task.value} {answer.value}"
    return ""


def work(folder: Path) -> None:
    with Engine(tasks=["caption", Task.TEXT], workers=2, languages=["en"], timeout="60s", cache_dir=folder) as engine:
        ticket: Ticket = engine.submit(folder / "a.png", priority=Priority.HIGH, caller="anna", deadline=3.0)
        ticket.add_done_callback(lambda done: print(done.done()))
        row = Row(ticket.result(timeout=3))
        caption: str | None = row.result.caption
        text: str | None = row.result.text
        print(caption, text, lines(row.result), labels(row.result), row.result.to_json(), row.result.to_dict())
        print(engine.submit(b"", name="b", page=1, tasks=["caption"]), engine.submit(io.BytesIO()).cancel())
        analysis: Analysis = engine.analyze([folder, "b.png"])
        for result in analysis:
            problem: Problem | None = result.error
            print(result.path, problem.remedy if problem else None, result.page, result.pages)
        stats: Statistics = engine.statistics
        print(stats.images)


def uploaded(engine: Engine, upload: UploadFile) -> Ticket:
    return engine.submit(upload)


async def later(engine: Engine) -> ImageResult:
    async for result in engine.analyze("photos"):
        print(result)
    async for task, answer in engine.submit("a.png").parts():
        print(task, answer.value)
    results = await asyncio.gather(engine.submit("a.png"), engine.submit("b.png"))
    return results[0]


class Told(Observer):
    def notice(self, text: str) -> None:
        print(text)


def told(options: EngineOptions) -> Engine:
    return Engine(options, observer=Told())


def tasks(result: ImageResult) -> bool:
    found: TaskResults = result.tasks
    caption: CaptionResult | None = found.caption
    text: TextResult | None = found.text
    labels: LabelsResult | None = found.labels
    print(caption.model if caption else None, text.seconds if text else None, labels.from_cache if labels else None)
    return result.status is Status.OK


def problems() -> list[type[ImgtoolError]]:
    return [
        Cancelled,
        EngineClosed,
        ModelMissing,
        QueueFull,
        SourceProblem,
        TooManyFailures,
        UsageProblem,
        WorkerUnusable,
    ]


def back(text: str) -> ImageResult:
    return ImageResult.from_json(text)
'''

WRONG = """
from imgtool import Engine

Engine(task=["caption"])
Engine(workers="two")
Engine().submit("a.png", prio=1)
Engine().submit(3)
Engine().submit("a.png").result().captions
"""


def check(folder: Path, *codes: str) -> subprocess.CompletedProcess[str]:
    programs = [folder / f"program{number}.py" for number in range(len(codes))]
    for program, code in zip(programs, codes, strict=True):
        program.write_text(code, encoding="utf-8")
    flags = ("--strict", "--cache-dir", str(folder / "mypy"), "--no-error-summary", "--config-file", os.devnull)
    command = [sys.executable, "-m", "mypy", *flags, *programs]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=240)


def test_a_strictly_typed_program_that_uses_every_public_name_has_no_errors(tmp_path: Path) -> None:
    names = [name for name in imgtool.__all__ if name != "__version__"]
    unused = [name for name in names if not re.search(rf"\b{name}\b", EVERY_NAME)]
    assert unused == []
    code = EVERY_NAME.replace("NAMES", "".join(f"    {name},\n" for name in names))
    done = check(tmp_path, code)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
def test_mistakes_are_found_by_the_type_checker(tmp_path: Path) -> None:
    done = check(tmp_path, WRONG)
    assert {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line} == {4, 5, 6, 7, 8}


@pytest.mark.slow
def test_the_examples_are_typed(tmp_path: Path) -> None:
    # The types of FastAPI are not ours to check.
    done = check(tmp_path, *(code for heading, code in EXAMPLES if heading != "In FastAPI"))
    assert (done.returncode, done.stdout) == (0, "")


def test_every_exception_of_the_package_is_in_the_table() -> None:
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (.*? \| .*? \| .*?) \|$", TEXT, flags=re.M))))
    public = {name for name in imgtool.__all__ if name[0].isupper()}
    raised = {name for name in public if issubclass(getattr(imgtool, name), imgtool.ImgtoolError)} - {"ImgtoolError"}
    assert raised <= named


def test_the_fields_that_are_named_exist() -> None:
    for name in ("caption", "text", "lines", "labels", "to_dict", "to_json", "from_dict", "from_json", "problems"):
        assert hasattr(ImageResult, name)
