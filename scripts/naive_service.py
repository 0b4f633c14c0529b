"""Reference of the load test: a service as it is usually written first. FastAPI loads the models as it starts and runs
them in a pool of threads; answers lie in a diskcache, as imgtool's do, and are looked up one by one.

    python scripts/naive_service.py --port 8001 --cache-dir DIR --caption-engine ENGINE

``POST /predict`` answers at once; ``POST /jobs`` gives a number, and clients ask for it every two seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import uvicorn
from diskcache import Cache
from fastapi import FastAPI, Request, Response

from imgtool import Engine


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cache-dir", required=True)
    parser.add_argument("--caption-engine", default="describe")
    given = parser.parse_args()
    app = FastAPI()
    # What computes is the same, so that what differs is the service around it.
    engine = Engine(tasks=["caption"], caption_engine=given.caption_engine, cache=False)
    store = Cache(f"{given.cache_dir}/naive")
    engine.warm_up()
    threads = ThreadPoolExecutor(8)
    numbers = itertools.count()
    jobs: dict[int, Future[Any]] = {}

    def answer(content: bytes) -> dict[str, Any]:
        key = hashlib.sha256(content).hexdigest()
        found: dict[str, Any] | None = store.get(key)
        if found is None:
            found = store[key] = engine.submit(content).result(120).to_dict()
        return found

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        content = await request.body()
        return await asyncio.get_running_loop().run_in_executor(threads, answer, content)

    @app.post("/jobs")
    async def make(request: Request) -> dict[str, int]:
        number = next(numbers)
        jobs[number] = threads.submit(answer, await request.body())
        return {"job": number}

    @app.get("/jobs/{number}")
    async def show(number: int) -> Response:
        job = jobs[number]
        if not job.done():
            return Response(status_code=202)
        return Response(json.dumps(jobs.pop(number).result()), media_type="application/json")

    uvicorn.run(app, port=given.port, log_level="error", access_log=False)


if __name__ == "__main__":
    main()
