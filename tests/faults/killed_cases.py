"""The commands that are killed: runs with and without a database, their outputs, the caches, models, and bench."""

from __future__ import annotations

import csv
import hashlib
import html.parser
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from imgtool.artefacts.find import ArtefactState, status
from imgtool.bench.data.saved import load_experiment
from imgtool.database.interface import embedded_path
from imgtool.database.locate import database_at
from imgtool.engine.cache import upkeep
from imgtool.engine.cache.listing import rows
from imgtool.engine.cache.records import ImageFacts, StoredAnswer, Update, encode
from imgtool.engine.cache.store import ResultStore
from imgtool.types import Backend
from imgtool.weights.catalogue import find
from imgtool.weights.store import ModelStore, StoredState
from tests import pictures
from tests.compiled import Bench
from tests.faults.kills import Case, Tally, whole_lines
from tests.model_files import blip_files

PICTURES = 24
_ENGINES = ["-t", "caption,text", "--caption-engine", "tests.planted:Numbered"]
_ENGINES += ["--text-engine", "tests.planted:NumberedText"]


class _OverPictures(Case):
    """``analyze`` over pictures that each say their number."""

    database = "off"
    seconds_a_picture = "0.02"

    def prepare(self) -> None:
        photos = pictures.folder(self.folder / "photos", [(0, number, 5) for number in range(PICTURES)])
        self.paths = sorted(photos.iterdir())
        self.numbers = {hashlib.sha256(path.read_bytes()).hexdigest(): number for number, path in enumerate(self.paths)}

    @property
    def command(self) -> list[str]:
        words = ["-m", "imgtool", "analyze", str(self.folder / "photos"), *_ENGINES, "-q", "--workers", "2"]
        return [*words, *(["--database", "off"] if self.database == "off" else []), *self.outputs()]

    def outputs(self) -> list[str]:
        return ["-f", "jsonl", "-o", str(self.place / "out.jsonl")]

    def environ(self) -> dict[str, str]:
        return {"PLANTED_SECONDS": self.seconds_a_picture}

    def wrong(self) -> Iterator[str]:
        found = upkeep.verify(self.place / "cache")
        if not found.sound or found.set_aside:
            yield f"the cache is damaged: {found}"
        kept = self._kept()
        for key, said in kept.items():
            if any(each != value for each, value in said):
                yield f"the record of {key} says {said}"
        for result in self._reported():
            number = self.paths.index(Path(result["path"]))
            values = [result["tasks"][task]["value"] for task in ("caption", "text")]
            if values[0] != f"number {number}" or values[1][0]["text"] != f"number {number}":
                yield f"the output says {values} about {result['path']}"
            sha = next(sha for sha, each in self.numbers.items() if each == number)
            if self.is_killed:
                self.tally.reported += 1
                self.tally.unkept += len(kept.get(sha, ())) < 2

    def incomplete(self) -> Iterator[str]:
        yield from self.wrong()
        if (count := len(self._kept())) != PICTURES:
            yield f"the cache has {count} records"
        if (count := len(self._reported())) != PICTURES:
            yield f"the output has {count} results"

    def _kept(self) -> dict[str, list[tuple[str, str]]]:
        """What each record says, beside what it should say."""
        kept: dict[str, list[tuple[str, str]]] = {}
        for row in rows(self.place / "cache"):
            record = row.record()
            assert record is not None
            right = f"number {self.numbers[row.name]}"
            values = [msgspec.json.decode(answer.value) for answer in record.answers.values()]
            kept[row.name] = [(each if isinstance(each, str) else each[0]["text"], right) for each in values]
        return kept

    def _reported(self) -> list[Any]:
        path = self.place / "out.jsonl"
        return whole_lines(path) if path.exists() else []


class Analyze(_OverPictures):
    name = "analyze"


class AnalyzeIntoDatabase(_OverPictures):
    name = "analyze with the database"
    database = "default"

    def wrong(self) -> Iterator[str]:
        yield from super().wrong()
        for path, caption in self._recorded():
            if caption != f"number {self.paths.index(Path(path))}":
                yield f"the database says {caption} about {path}"
        yield from self._trouble()

    def incomplete(self) -> Iterator[str]:
        yield from super().incomplete()
        if (count := len(self._recorded())) != PICTURES:
            yield f"the database has {count} files"

    def _recorded(self) -> list[tuple[str, str]]:
        if not (path := embedded_path(self.place / "cache")).exists():
            return []
        database = database_at(f"sqlite:///{path}")
        database.connect(create=True)
        try:
            found = [(each.path or "", each.result) for each in database.entries()]
            return [(path, each.tasks.caption.value if each.tasks.caption else "") for path, each in found]  # type: ignore[union-attr]
        finally:
            database.close()

    def _trouble(self) -> Iterator[str]:
        if (path := embedded_path(self.place / "cache")).exists():
            database = database_at(f"sqlite:///{path}")
            database.connect(create=True)
            try:
                yield from database.status(thorough=True).trouble
            finally:
                database.close()


class _FromCache(_OverPictures):
    """Everything is known, so that a run is all writing. Half of the outputs replace an earlier one."""

    def prepare(self) -> None:
        super().prepare()
        self.place.mkdir()
        self.scratch.mkdir()
        assert self.start().wait() == 0
        shutil.move(self.place, self.folder / "known")

    def begin(self) -> None:
        shutil.copytree(self.folder / "known" / "cache", self.place / "cache")


class Outputs(_FromCache):
    name = "outputs of every format"
    formats = ("jsonl", "json", "csv", "xlsx", "parquet", "html", "txt")

    def outputs(self) -> list[str]:
        return [word for each in self.formats for word in ("-o", str(self.place / f"out.{each}"))]

    def begin(self) -> None:
        super().begin()
        for path in list((self.folder / "known").glob("out.*"))[::2]:
            if path.suffix != ".jsonl":
                shutil.copy(path, self.place)

    def wrong(self) -> Iterator[str]:
        for path in self.place.glob("out.*"):
            count = PICTURES if path.suffix == ".jsonl" else self._results(path)
            if path.suffix == ".jsonl":
                whole_lines(path)
            if count != PICTURES:
                yield f"{path.name} has {count} results"

    def incomplete(self) -> Iterator[str]:
        yield from self.wrong()
        if missing := {f"out.{each}" for each in self.formats} - {path.name for path in self.place.glob("out.*")}:
            yield f"missing: {missing}"
        if (count := len(self._reported())) != PICTURES:
            yield f"out.jsonl has {count} results"

    @staticmethod
    def _results(path: Path) -> int:
        if path.suffix == ".json":
            return len(json.loads(path.read_bytes()))
        if path.suffix == ".csv":
            return sum(1 for _ in csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
        if path.suffix == ".xlsx":
            import openpyxl

            assert zipfile.ZipFile(path).testzip() is None
            return int(openpyxl.load_workbook(path)["Images"].max_row) - 1
        if path.suffix == ".parquet":
            from pyarrow import parquet

            return int(parquet.read_table(path).num_rows)
        text = path.read_text("utf-8")
        if path.suffix == ".html":
            html.parser.HTMLParser().feed(text)
            return PICTURES if text.rstrip().endswith("</html>") else 0
        return sum(f"{number:03}.png" in text for number in range(PICTURES))


class Documents(_FromCache):
    name = "--text-out and --sidecar"
    kinds = ("txt", "hocr", "alto.xml", "ocr.pdf", "json", "xmp")

    def outputs(self) -> list[str]:
        forms = ["--text-out", "hocr,alto,pdf", "--sidecar", "txt,json,xmp"]
        return [*forms, "--sidecar-dir", str(self.place / "beside"), "-f", "jsonl", "-o", str(self.place / "out.jsonl")]

    def wrong(self) -> Iterator[str]:
        import pikepdf

        for path in self._files():
            text = "" if path.suffix == ".pdf" else path.read_text("utf-8")
            number = int(path.name[:3])
            if path.suffix == ".pdf":
                with pikepdf.open(path) as pdf:
                    whole = len(pdf.pages) == 1
            elif path.suffix == ".json":
                whole = json.loads(text)["tasks"]["caption"]["value"] == f"number {number}"
            else:
                end = {".hocr": "</html>", ".xml": "</alto>", ".xmp": '<?xpacket end="w"?>', ".txt": f"number {number}"}
                whole = text.rstrip().endswith(end[path.suffix]) and str(number) in text
            if not whole:
                yield f"{path.name} is not whole"

    def incomplete(self) -> Iterator[str]:
        yield from self.wrong()
        if (count := len(self._files())) != PICTURES * len(self.kinds):
            yield f"there are {count} files"

    def _files(self) -> list[Path]:
        return [path for path in self.place.glob("beside/*") if not path.name.startswith(".")]


class _Records(Case):
    """A cache with many records of two engines."""

    count = 3000

    def prepare(self) -> None:
        self.place.mkdir()
        store = ResultStore(self.place / "cache", size_limit=10**9, ttl=None, warn=print)
        facts = ImageFacts(format="PNG", width=8, height=6, pages=1, file_size=99)
        for start in range(0, self.count, 500):
            store.merge([Update(f"{n:064x}", facts, self._answers(n), {}) for n in range(start, start + 500)])
        store.close()
        self.before = self._values()
        shutil.move(self.place, self.folder / "known")

    def _answers(self, number: int) -> dict[str, StoredAnswer]:
        return {
            engine: StoredAnswer(
                value=msgspec.Raw(msgspec.json.encode(f"{engine} {number} " + "x" * 300)),
                engine=engine,
                model="m",
                model_version="1",
                backend=Backend.ONNX,
                seconds=0.1,
                stored_at=1.0,
            )
            for engine in ("one", "other")
        }

    def begin(self) -> None:
        shutil.copytree(self.folder / "known" / "cache", self.place / "cache")

    def _values(self) -> dict[str, bytes]:
        found = {}
        for row in rows(self.place / "cache"):
            record = row.record()
            assert record is not None
            found[row.name] = encode(record)
        return found

    def wrong(self) -> Iterator[str]:
        if not (found := upkeep.verify(self.place / "cache")).sound:
            yield f"the cache is damaged: {found}"


class Prune(_Records):
    name = "cache prune"
    command = ["-m", "imgtool", "cache", "prune", "--engine", "other"]  # noqa: RUF012 - a property in the base

    def wrong(self) -> Iterator[str]:
        yield from super().wrong()
        found = self._values()
        if found.keys() != self.before.keys():
            yield f"{len(found)} records are left"
        strange = [key for key, value in found.items() if value not in (self.before[key], self._pruned(key))]
        if strange:
            yield f"{len(strange)} records are neither as they were nor as they should be"

    def incomplete(self) -> Iterator[str]:
        yield from self.wrong()
        if left := sum(value != self._pruned(key) for key, value in self._values().items()):
            yield f"{left} records were not pruned"

    def _pruned(self, key: str) -> bytes:
        record = msgspec.json.decode(self.before[key])
        del record["answers"]["other"]
        return msgspec.json.encode(record)


class Clear(_Records):
    name = "cache clear"
    command = ["-m", "imgtool", "cache", "clear"]  # noqa: RUF012 - a property in the base

    def wrong(self) -> Iterator[str]:
        yield from super().wrong()
        if not self._values().items() <= self.before.items():
            yield "a record was changed"

    def incomplete(self) -> Iterator[str]:
        yield from self.wrong()
        if left := self._values():
            yield f"{len(left)} records are left"


class WarmCache(Case):
    name = "warm-cache"
    spec = find("blip-base")

    def prepare(self) -> None:
        source = self.folder / "source"
        source.mkdir()
        for name, content in blip_files(size=60_000_000).items():
            (source / name).write_bytes(content)

    @property
    def command(self) -> list[str]:
        return ["-m", "imgtool", "warm-cache", "blip-base", "--from", str(self.folder / "source"), "--no-load", "-q"]

    def environ(self) -> dict[str, str]:
        return {"HF_HOME": str(self.place / "hub"), "IMGTOOL_BACKEND": "torch"}

    def wrong(self) -> Iterator[str]:
        found = ModelStore.at(self.place / "cache" / "models").status(self.spec, full=True)
        if found.state not in (StoredState.COMPLETE, StoredState.NO_MANIFEST):
            yield found.message

    def incomplete(self) -> Iterator[str]:
        found = ModelStore.at(self.place / "cache" / "models").status(self.spec, full=True)
        if not found.complete:
            yield found.message


class Compile(Case):
    """The compile of ``warm-cache``, of a network that compiles in a second. Half of them replace an earlier one."""

    name = "warm-cache, the compile"
    _program = (
        "import sys; from pathlib import Path; from dataclasses import replace; from tests.compiled import *\n"
        "bench = Bench(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "bench.compile(replace(OPTIONS, anew=True))"
    )

    def prepare(self) -> None:
        self.bench = Bench.at(self.folder)
        self.began = 0

    @property
    def command(self) -> list[str]:
        return ["-c", self._program, str(self.folder / "weights"), str(self.place / "compiled")]

    def begin(self) -> None:
        self.bench = Bench(self.folder / "weights", self.place / "compiled")
        self.began += 1
        if self.began % 2 == 0:
            shutil.copytree(self.folder / "known", self.place / "compiled")

    def wrong(self) -> Iterator[str]:
        found = status(self.place / "compiled", self.bench.requested, full=True)
        if found.state not in (ArtefactState.COMPILED, ArtefactState.ABSENT):
            yield found.message

    def incomplete(self) -> Iterator[str]:
        found = status(self.place / "compiled", self.bench.requested, full=True)
        if found.state is not ArtefactState.COMPILED or len(self.bench.folders) != 1:
            yield f"{found.message}; {self.bench.folders}"
        if not (self.folder / "known").exists():
            shutil.copytree(self.place / "compiled", self.folder / "known")


class SyntheticModels(Case):
    """``warm-cache`` as it is, with torch, of a small BLIP."""

    name = "warm-cache of a small synthetic BLIP"
    command = [  # noqa: RUF012 - a property in the base
        *("-m", "imgtool", "warm-cache", "blip", "--weights", "synthetic", "--scale", "small", "-q"),
    ]

    def wrong(self) -> Iterator[str]:
        from imgtool.artefacts.requested_model import requested_blip
        from imgtool.options import EngineOptions, Scale, Weights
        from imgtool.weights.synthetic.store import blip_spec, synthetic_store

        options = EngineOptions(cache_dir=self.place / "cache", weights=Weights.SYNTHETIC, scale=Scale.SMALL)
        found = synthetic_store(options).status(blip_spec(options), full=True)
        if found.state not in (StoredState.COMPLETE, StoredState.NO_MANIFEST):
            yield found.message
        compiled = status(self.place / "cache" / "compiled", requested_blip(options), full=True)
        if compiled.state not in (ArtefactState.COMPILED, ArtefactState.ABSENT):
            yield compiled.message
        self._whole = found.complete and compiled.state is ArtefactState.COMPILED

    def incomplete(self) -> Iterator[str]:
        yield from self.wrong()
        if not self._whole:
            yield "not everything is there"


class BenchSave(Case):
    name = "bench --save"

    @property
    def command(self) -> list[str]:
        files = ["--save", str(self.place / "saved.json"), "--markdown", str(self.place / "report.md")]
        return ["-m", "imgtool", "bench", "true", "--runs", "3", "-q", *files]

    def begin(self) -> None:
        for path in self.folder.glob("known/*"):
            shutil.copy(path, self.place)

    def wrong(self) -> Iterator[str]:
        if (path := self.place / "saved.json").exists():
            load_experiment(path)
        if (path := self.place / "report.md").exists() and not path.read_text().endswith("\n"):
            yield "the report is cut"

    def incomplete(self) -> Iterator[str]:
        yield from self.wrong()
        (self.folder / "known").mkdir(exist_ok=True)
        for name in ("saved.json", "report.md"):
            if (self.place / name).exists():
                shutil.copy(self.place / name, self.folder / "known")
            else:
                yield f"{name} is missing"


CASES: dict[type[Case], int] = {
    Analyze: 90,
    AnalyzeIntoDatabase: 70,
    Outputs: 80,
    Documents: 50,
    Prune: 45,
    Clear: 35,
    WarmCache: 40,
    Compile: 25,
    SyntheticModels: 5,
    BenchSave: 20,
}
"""How often each is killed in the whole harness; the service is killed 40 times."""

SERVICE_KILLS = 40


def kill_case(case: type[Case], folder: Path, times: int, seed: int) -> Tally:
    """Kill one case in an empty folder."""
    folder.mkdir(parents=True)
    return case(folder).kill(times, seed)
