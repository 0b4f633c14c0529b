"""The pages of the service: one to try it, one that describes it. Neither loads anything from elsewhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, Response

from imgtool import __version__
from imgtool.page.template import render
from imgtool.service.openapi import OPERATIONS, describe
from imgtool.service.problems import STATUSES, encode

if TYPE_CHECKING:
    from starlette.requests import Request

_FOLDER = Path(__file__).with_name("html")
_HEADERS = {
    # The rest of the policy is in the page, with the hashes of its style and script.
    "content-security-policy": "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


class Pages:
    """The pages of one service, which answers these tasks in these languages within ``deadline`` seconds."""

    def __init__(self, tasks: tuple[str, ...], languages: tuple[str, ...], deadline: float) -> None:
        self._served = (tasks, languages, deadline)

    async def home(self, _: Request) -> Response:
        """``GET /``: an image is dropped, and its answer appears part by part."""
        return HTMLResponse(_home(), headers=_HEADERS)

    async def docs(self, _: Request) -> Response:
        """``GET /docs``."""
        return HTMLResponse(_docs(), headers=_HEADERS)

    async def openapi(self, _: Request) -> Response:
        """``GET /openapi.json``."""
        return encode(describe(*self._served), headers={"cache-control": "no-cache"})


@cache
def _home() -> str:
    return render(
        "service/html/home.html.j2",
        style=_read("style.css"),
        script=_read("home.js"),
        sources={"connect-src": "'self'", "img-src": "blob: data:"},
        title="imgtool",
        version=__version__,
    )


@cache
def _docs() -> str:
    description = describe()
    groups: dict[str, list[dict[str, object]]] = {}
    for operation in OPERATIONS:
        found = description["paths"][operation.path][operation.method]
        groups.setdefault(operation.tag, []).append(
            {**found, "path": operation.path, "method": operation.method.upper()}
        )
    return render(
        "service/html/docs.html.j2",
        style=_read("style.css"),
        title="imgtool: the service",
        version=__version__,
        groups=groups,
        statuses=STATUSES,
    )


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
