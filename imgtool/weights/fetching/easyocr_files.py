"""EasyOCR's weights: a zip from the address in EasyOCR's table, verified and unpacked into EasyOCR's directory.

EasyOCR's own download writes in place, has no timeout, and installs whatever the archive holds. Here a transfer is
resumed if the server allows it, the weights must have the MD5 in EasyOCR's table, and a rename installs them.
"""

from __future__ import annotations

import http.client
import os
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from imgtool.errors import ImgtoolError
from imgtool.files import not_writable, replacing, require_space, writable
from imgtool.weights.easyocr_table import TableEntry
from imgtool.weights.errors import (
    AccessDenied,
    BrokenArchive,
    DownloadFailed,
    ModelNotFound,
    RepositoryIncomplete,
    UnexpectedAnswer,
    WrongHash,
)
from imgtool.weights.fetching.connection import (
    certificate_refused,
    host_of,
    require_web_address,
    trust_named_certificates,
)
from imgtool.weights.fetching.transient import Transient, of_status
from imgtool.weights.hashing import ExpectedFile, measure

ENDPOINT_VARIABLE = "IMGTOOL_EASYOCR_ENDPOINT"
"""Names a mirror: it replaces scheme and host of the addresses in EasyOCR's table, not their path."""

TIMEOUT_SECONDS = 20.0
_PIECE = 1 << 16
_LARGEST = 4_000_000_000
_PROXY = f"a proxy or a login page may have answered: check HTTPS_PROXY and {ENDPOINT_VARIABLE}"

Progress = Callable[[int, int], None]


class _PartialArchive:
    """An archive that is being fetched, and the validator (ETag) of the version that its bytes belong to.

    Its name is stable, so that a later process can resume the download of a killed one. Only the holder of the model's
    lock uses it, and the weights in it must have the right MD5.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(f"{path.name}.etag")

    @property
    def validator(self) -> str:
        try:
            return self._note.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""

    def begin(self, validator: str) -> None:
        """Delete what was fetched before and start a download of the version ``validator``."""
        self.discard()
        self._note.write_text(validator, encoding="utf-8")

    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def discard(self) -> None:
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def address(entry: TableEntry) -> str:
    """The address of the archive: the table's, or the same path on the mirror that is set."""
    mirror = os.environ.get(ENDPOINT_VARIABLE, "").strip().rstrip("/")
    return mirror + urlsplit(entry.url).path if mirror else entry.url


def download(entry: TableEntry, folder: Path, scratch: Path, progress: Progress) -> None:
    """Fetch the weights of ``entry`` into ``folder``, with the unfinished archive in ``scratch``. One attempt.

    Raises:
        Transient: the transfer failed for a reason that may pass.
        BrokenArchive, WrongHash: the archive is damaged, or its weights are not those of EasyOCR's table.
        ImgtoolError: the server refused, or a folder cannot be written.
    """
    url = address(entry)
    if mirror := os.environ.get(ENDPOINT_VARIABLE, "").strip():
        require_web_address(ENDPOINT_VARIABLE, mirror)
    trust_named_certificates()
    with writable(scratch):
        scratch.mkdir(parents=True, exist_ok=True)
    partial = _PartialArchive(scratch / f"{entry.filename}.zip.part")
    headers, have = {"User-Agent": "imgtool"}, partial.size()
    if have and partial.validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": partial.validator}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - of EasyOCR's table, or the user's mirror
    try:
        with closing(urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)) as response:  # noqa: S310
            _receive(response, url, partial, progress)
    except urllib.error.HTTPError as error:
        with error:  # it holds the connection
            raise _refusal(error, url, partial) from error
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        host = host_of(url)
        said = str(getattr(error, "reason", None) or error) or type(error).__name__
        raise (certificate_refused(error, host) or Transient(f"{host} cannot be reached ({said})")) from error
    except OSError as error:
        raise (not_writable(error, scratch) or Transient(str(error))) from error
    try:
        unpack(partial.path, entry, folder, url)
    finally:
        partial.discard()


def unpack(archive: Path, entry: TableEntry, folder: Path, source: str) -> None:
    """Install the weights in ``archive``, a zip, after comparing them with EasyOCR's table.

    Raises:
        BrokenArchive: it is no zip.
        RepositoryIncomplete: it does not hold the weights.
        WrongHash: the weights are not those of the table.
        imgtool.errors.StoreNotWritable: ``folder`` cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(entry.filename) as weights:
            size = opened.getinfo(entry.filename).file_size
            if size > _LARGEST:
                raise UnexpectedAnswer(f"{source} unpacks to {size} bytes", "check where it comes from")
            require_space(folder, size)
            install(weights, entry, folder, source)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise BrokenArchive(f"{source} is no usable zip archive ({error})", _PROXY) from error
    except KeyError as error:
        raise RepositoryIncomplete(
            f"{source} does not hold {entry.filename}", "upgrade EasyOCR: its address may be outdated"
        ) from error


def install(weights: Any, entry: TableEntry, folder: Path, source: str) -> None:
    """Copy ``weights`` (a binary stream) into ``folder`` if they are those of EasyOCR's table.

    Raises:
        WrongHash: they are not; nothing is left behind.
        imgtool.errors.StoreNotWritable: ``folder`` cannot be written.
    """
    with writable(folder), replacing(folder / entry.filename) as file:
        shutil.copyfileobj(weights, file, _PIECE)
        file.flush()
        expected = ExpectedFile(md5=entry.md5)
        if difference := expected.difference(measure(Path(file.name), expected)):
            raise WrongHash(
                f"{entry.filename} from {source} is not the file that EasyOCR describes: {difference}",
                f"check {ENDPOINT_VARIABLE} and the proxy, or upgrade EasyOCR: the file may have been replaced",
            )


def _receive(response: Any, url: str, partial: _PartialArchive, progress: Progress) -> None:
    if response.headers.get_content_type() == "text/html":
        raise UnexpectedAnswer(f"{url} answered with a web page instead of an archive", _PROXY)
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        etag = response.headers.get("ETag") or ""
        # A weak validator does not promise the same bytes, so a download cannot be resumed with it.
        partial.begin("" if etag.startswith("W/") else etag)
    done = partial.size()
    length = response.headers.get("Content-Length")
    total = done + int(length) if length and length.isdigit() else 0
    require_space(partial.path.parent, max(0, total - done))
    with partial.path.open("ab") as file:
        while piece := response.read1(_PIECE):
            file.write(piece)
            done += len(piece)
            progress(done, total)
    if total and done != total:
        raise Transient(f"the transfer ended after {done} of {total} bytes")


def _refusal(error: urllib.error.HTTPError, url: str, partial: _PartialArchive) -> Transient | ImgtoolError:
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        partial.discard()
        return Transient("the file on the server has changed since the download began")
    if transient := of_status(error.code, error.headers.get("Retry-After")):
        return transient
    if error.code in (401, 403):
        remedy = f"check {ENDPOINT_VARIABLE} and the proxy settings"
        return AccessDenied(f"{url}: the server answered {error.code}", remedy)
    if error.code in (404, 410):
        return ModelNotFound(f"{url}: the server has no such file", f"upgrade EasyOCR, or check {ENDPOINT_VARIABLE}")
    return DownloadFailed(f"{url}: the server answered {error.code}", "check the proxy settings")
