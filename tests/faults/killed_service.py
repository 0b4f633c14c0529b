"""A service that is killed again and again while it works on jobs: they go on where they were."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from imgtool.engine.cache import upkeep
from tests import pictures
from tests.faults.kills import Tally, kill_tree
from tests.service.running import Running, running

NAME = "serve with jobs"
_PICTURES = 30
_ARGUMENTS = ("-t", "caption", "--caption-engine", "tests.planted:Numbered", "--workers", "1")


class KilledService:
    """One cache and one journal of jobs, over which services are started one after the other."""

    def __init__(self, folder: Path) -> None:
        self.cache, self.root, self.scratch = folder / "cache", folder / "root", folder / "scratch"
        self.scratch.mkdir(parents=True)
        self.root.mkdir()
        self.tally = Tally(NAME)
        self.jobs: list[str] = []

    def kill(self, times: int, seed: int) -> Tally:
        rng = random.Random(seed)
        while self.tally.landed < times:
            with self._service() as service:
                if not self.jobs or rng.random() < 0.2:
                    self._ask(service, uploaded=rng.random() < 0.5)
                time.sleep(rng.uniform(0.0, 1.2))
                kill_tree(service.process)
            self.tally.landed += 1
            self.tally.complaints += self._wrong()
            if rng.random() < 0.25:
                self._to_the_end()
        self._to_the_end()
        return self.tally

    def _service(self) -> Any:
        places = ("--root", self.root, "--cache-dir", self.cache)
        return running(*_ARGUMENTS, *places, ready=False, PLANTED_SECONDS="0.02", TMPDIR=str(self.scratch))

    def _ask(self, service: Running, *, uploaded: bool) -> None:
        number = len(list(self.root.iterdir()))
        colours = [(number, each, 7) for each in range(_PICTURES)]
        paths = sorted(pictures.folder(self.root / f"{number:03}", colours).iterdir())
        if uploaded:
            files = [("f", (f"{number:03}-{path.name}", path.read_bytes())) for path in paths]
            made = service.post("/v1/jobs", files=files)
        else:
            made = service.post("/v1/jobs", json={"paths": [f"{number:03}"]})
        assert made.status_code == 202, made.text
        self.jobs.append(made.headers["location"])

    def _wrong(self) -> Iterator[str]:
        """What is wrong with the journal and the cache while no service runs."""
        if not (found := upkeep.verify(self.cache)).sound:
            yield f"the cache is damaged: {found}"
        with closing(sqlite3.connect(next(self.cache.rglob("jobs.sqlite")))) as journal:
            if (said := journal.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
                yield f"the journal is damaged: {said}"
            done = Counter(job for (job,) in journal.execute("SELECT job FROM items WHERE done = 1"))
            kept = Counter(job for (job,) in journal.execute("SELECT job FROM results"))
            told = {job: count for job, count in journal.execute("SELECT id, done FROM jobs") if count}
            if not dict(done) == dict(kept) == told:
                yield f"items {done}, results {kept} and counts {told} differ"
            self.tally.reported += sum(kept.values())
            for (result,) in journal.execute("SELECT result FROM results"):
                yield from _untrue(json.loads(result))
            posted = {job for (job,) in journal.execute("SELECT id FROM jobs")}
            if lost := {job.rpartition("/")[2] for job in self.jobs} - posted:
                yield f"jobs are gone: {lost}"

    def _to_the_end(self) -> None:
        with self._service() as service:
            for address in self.jobs:
                deadline = time.monotonic() + 120
                while (job := service.get(address).json())["state"] in ("queued", "running"):
                    assert time.monotonic() < deadline, job
                    time.sleep(0.05)
                if (job["state"], job["done"], job["failed"]) != ("done", _PICTURES, 0):
                    self.tally.complaints.append(f"a job ended so: {job}")
                lines = [json.loads(line) for line in service.get(f"{address}/results").text.splitlines()]
                if len({each["path"] for each in lines}) != _PICTURES:
                    self.tally.complaints.append(f"a job has {len(lines)} results")
                self.tally.complaints += [each for line in lines for each in _untrue(line)]
        self.jobs = []
        self.tally.completed += 1
        left = [*self.scratch.iterdir(), *self.cache.rglob("uploads/*")]
        self.tally.complaints += [f"left: {path}" for path in left]


def _untrue(result: Any) -> Iterator[str]:
    folder, name = re.findall("[0-9]{3}", result["path"])
    right = f"number {256 * int(folder) + int(name)}"
    if (said := result["tasks"]["caption"]["value"]) != right:
        yield f"a job says {said} about {result['path']}"
