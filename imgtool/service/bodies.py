"""Reading what a client sends, within limits of size and time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from imgtool.service.problems import ClientGone, HttpProblem

RAW_TYPES = ("application/octet-stream", "application/pdf")
"""Taken as an image beside ``image/*``."""

GZIP_BYTES = 1024
"""Answers of this size are compressed for who can read that."""

_BODY_SECONDS = 30.0
_DISCARD_SECONDS = 1.0
_FIELDS = 32


class Upload(Struct, frozen=True):
    """The bytes of one file, and what the client calls it."""

    name: str
    content: bytes


class Form(Struct, frozen=True):
    """A multipart body: its files in order, and its other fields."""

    files: tuple[Upload, ...]
    fields: dict[str, str]


class BodyReader:
    """Reads bodies of at most ``limit`` bytes that arrive within ``seconds``; all that are read at the same time hold
    at most ``budget`` bytes."""

    def __init__(self, limit: int, *, seconds: float = _BODY_SECONDS, budget: int = 1 << 30) -> None:
        self.limit = limit
        self._seconds = seconds
        self._budget = max(budget, limit)
        self.held = 0
        """Bytes of bodies that are being read or answered."""

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The body. Its bytes count against the budget until the block ends.

        Raises:
            HttpProblem: it is too large, or too slow, or too many others are here already.
            ClientGone: the client left.
        """
        announced = request.headers.get("content-length", "")
        if re.fullmatch("[0-9]{1,19}", announced) and int(announced) > self.limit:
            await self._refuse(request, f"{int(announced):,} bytes")
        chunks: list[bytes] = []
        size = 0
        try:
            try:
                async with asyncio.timeout(self._seconds):
                    async for chunk in request.stream():
                        size += len(chunk)
                        self.held += len(chunk)
                        chunks.append(chunk)
                        if size > self.limit:
                            await self._refuse(request, f"more than {self.limit:,} bytes")
                        if self.held > self._budget:
                            raise HttpProblem(
                                "queue_full",
                                f"bodies of {self.held:,} bytes are being read or answered",
                                "ask again later",
                                headers={"retry-after": "1", "connection": "close"},
                            )
            except TimeoutError:
                raise HttpProblem(
                    "body_timeout",
                    f"the body did not arrive within {self._seconds:g} s: {size:,} bytes of it are here",
                    "send it faster, or check that Content-Length is right",
                    headers={"connection": "close"},
                ) from None
            except ClientDisconnect as error:
                raise ClientGone from error
            yield chunks[0] if len(chunks) == 1 else b"".join(chunks)
        finally:
            self.held -= size

    async def _refuse(self, request: Request, what: str) -> None:
        """Take in a little more first: a client that is still sending would see a broken connection, and no answer."""
        if "expect" not in request.headers:
            left = 4 * self.limit
            try:
                async with asyncio.timeout(_DISCARD_SECONDS):
                    async for chunk in request.stream():
                        left -= len(chunk)
                        if left < 0:
                            break
            except (TimeoutError, ClientDisconnect, RuntimeError):
                pass  # enough of it, or all: starlette's word for a body that has been read is a RuntimeError
        raise HttpProblem(
            "body_too_large",
            f"the body has {what}; at most {self.limit:,} are taken",
            "send a smaller image, or start the service with a larger --max-body",
            headers={"connection": "close"},
        )


class _Parser(MultiPartParser):
    """Starlette's, which notes whether the last boundary came: without it, a file that is cut off is left out."""

    is_whole = False

    def on_end(self) -> None:
        super().on_end()
        self.is_whole = True


def media_type(request: Request) -> str:
    """The type of the body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def parse_form(request: Request, body: bytes, *, most_files: int) -> Form:
    """The files and fields of a multipart body.

    Raises:
        HttpProblem: it is none, or has too many parts.
    """

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = _Parser(request.headers, stream(), max_files=most_files, max_fields=_FIELDS, max_part_size=64 * 1024)
    parser.spool_max_size = len(body) + 1  # it is in memory anyway
    remedy = f"send at most {most_files} files and {_FIELDS} fields; `curl -F file=@photo.jpg` makes such a body"
    try:
        form = await parser.parse()
    except MultiPartException as error:
        text = f"the multipart body cannot be read: {error.message.rstrip('.').lower()}"
        raise HttpProblem("bad_request", text, remedy) from error
    except (ValueError, LookupError, TypeError) as error:  # a charset that is none for text, a name without a value
        raise HttpProblem("bad_request", f"the multipart body cannot be read: {error}", remedy) from error
    if not parser.is_whole:
        for file in parser._files_to_close_on_error:
            file.close()
        raise HttpProblem("bad_request", "the multipart body is cut off: its last boundary is missing", remedy)
    files, fields = [], {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files.append(Upload(clean_name(value.filename) or name, value.file.read()))
            value.file.close()
        elif name == "file":
            raise HttpProblem("bad_request", "the part 'file' has no file name", "curl -F file=@photo.jpg gives it one")
        else:
            fields[name] = value
    return Form(tuple(files), fields)


async def images_of(request: Request, body: bytes, *, most_files: int) -> Form:
    """The images in a body: one where it is raw, one or several where it is multipart.

    Raises:
        HttpProblem: there is none, or the body is of another type.
    """
    kind = media_type(request)
    if kind == "multipart/form-data":
        form = await parse_form(request, body, most_files=most_files)
        if not form.files:
            raise HttpProblem("bad_request", "the multipart body holds no file", "curl -F file=@photo.jpg")
        return form
    if kind.startswith("image/") or kind in RAW_TYPES:
        name = clean_name(request.query_params.get("name") or "") or "upload"
        return Form((Upload(name, body),), {})
    raise HttpProblem(
        "unsupported_media_type",
        f"a body of type {kind!r} is not taken here" if kind else "the request has no Content-Type",
        "send image/*, application/octet-stream, application/pdf or multipart/form-data: "
        "curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg",
    )


def clean_name(name: str | None) -> str:
    """The last part of a file name that a client gave, without characters that do harm in a terminal or a header."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable() and not "\ud800" <= letter <= "\udfff")[:255]
