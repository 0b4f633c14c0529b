"""A server whose certificate nobody has signed, as behind a proxy that opens connections: said at once, with what to
set, and what networks usually set is enough."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.command import Outcome, imgtool

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here")


class NotThere(BaseHTTPRequestHandler):
    """Answers 404 to everything: whoever sees that has accepted the certificate."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    names = "subjectAltName=DNS:localhost"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    files = ["-addext", names, "-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem")]
    subprocess.run([*made, *files], check=True, capture_output=True)
    return folder / "ca.pem"


@pytest.fixture(scope="module")
def address(certificate: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), NotThere)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def warm(model: str, address: str, place: Path, **named: str) -> Outcome:
    """Fetch ``model`` from ``address``, trusting nothing but what is ``named``."""
    nothing = dict.fromkeys(("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), "")
    where = {"HF_ENDPOINT": address, "IMGTOOL_EASYOCR_ENDPOINT": address, "HF_HOME": str(place)}
    reach = {"NO_PROXY": "*", "no_proxy": "*", "EASYOCR_MODULE_PATH": str(place)}
    return imgtool("warm-cache", model, "--no-load", **{**nothing, **where, **reach, **named})


@pytest.mark.parametrize("model", ["blip-base", "craft"])
def test_a_certificate_that_is_not_trusted_names_what_to_set(model: str, address: str, tmp_path: Path) -> None:
    if model == "craft":
        pytest.importorskip("easyocr")
    done = warm(model, address, tmp_path)
    assert done.code == 5
    assert "the certificate of localhost" in done.err and "is not trusted" in done.err
    assert "`export SSL_CERT_FILE=" in done.err
    assert "attempt 2" not in done.err


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("model", ["blip-base", "craft"])
def test_what_networks_set_is_trusted(
    model: str, variable: str, address: str, certificate: Path, tmp_path: Path
) -> None:
    if model == "craft":
        pytest.importorskip("easyocr")
    done = warm(model, address, tmp_path, **{variable: str(certificate)})
    assert done.code == 5
    assert "certificate" not in done.err
    assert "has no such" in done.err


def test_certificates_that_are_not_there_are_said(address: str, tmp_path: Path) -> None:
    done = warm("blip-base", address, tmp_path, SSL_CERT_FILE=str(tmp_path / "none.pem"))
    assert done.code == 5
    assert "which cannot be read" in done.err
