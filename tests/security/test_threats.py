"""Guards that no other test looks at: see docs/security.md for all of them."""

from __future__ import annotations

import ast
import hmac
import io
import time
import zipfile
from pathlib import Path

import pytest

from imgtool.service.keys import KeyRejected, KeyRing, Role, add_key
from imgtool.weights.easyocr_table import TableEntry
from imgtool.weights.fetching.easyocr_files import unpack
from tests.conftest import ROOT
from tests.service.running import PLANTED, problem, running

CONTENT = b"weights"


PUBLISHED = "torch.load(path, map_location='cpu', weights_only=marker is not None)"
"""EasyOCR's own weights, which are pickles: the lines before compare them with the MD5 that EasyOCR publishes."""


def test_nothing_of_ours_can_open_a_pickle_or_run_text() -> None:
    """Neither by import nor by a call: what these would open can run code."""
    modules = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
    found = []
    for path in sorted((ROOT / "imgtool").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.name}: {name}" for name in names if name.partition(".")[0] in modules]
            if isinstance(node, ast.Call):
                called, said = ast.unparse(node.func), ast.unparse(node)
                unsafe = called in ("eval", "exec", "compile")
                unsafe |= called == "torch.load" and "weights_only=True" not in said
                unsafe |= called in ("np.load", "numpy.load") and "allow_pickle" in said
                found += [f"{path.name}: {said}"] if unsafe else []
    assert found == [f"networks.py: {PUBLISHED}"]


def test_an_archive_writes_nothing_but_its_weights(tmp_path: Path) -> None:
    import hashlib

    entry = TableEntry(filename="model.pth", url="https://x.invalid/m.zip", md5=hashlib.md5(CONTENT).hexdigest())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("../../outside.pth", "/tmp/imgtool-outside.pth", "model.pth", "sub/../../up.pth", "other.txt"):
            archive.writestr(name, CONTENT)
    made = tmp_path / "a" / "b" / "archive.zip"
    made.parent.mkdir(parents=True)
    made.write_bytes(buffer.getvalue())
    unpack(made, entry, tmp_path / "a" / "b" / "into", "there")
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found - {path for path in found if path.startswith("home/")} == {"a/b/archive.zip", "a/b/into/model.pth"}
    assert not Path("/tmp/imgtool-outside.pth").exists()


def test_keys_are_compared_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, whichever it is, and by the function that is made for it."""
    path = tmp_path / "keys.json"
    secrets = [add_key(path, name, Role.USER, None) for name in ("ann", "ben", "cleo")]
    ring = KeyRing(path, print)
    compared: list[bool] = []

    def compare(one: str, other: str, real: object = hmac.compare_digest) -> bool:
        compared.append(real(one, other))  # type: ignore[operator]
        return compared[-1]

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for secret in (*secrets, "wrong"):
        compared.clear()
        if secret == "wrong":
            with pytest.raises(KeyRejected):
                ring.find(secret)
        else:
            ring.find(secret)
        assert len(compared) == 3
        assert sum(compared) == (secret != "wrong")


def test_the_log_of_a_service_holds_no_key_and_no_escape_sequence(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    secret = add_key(path, "ann", Role.USER, None)
    wrong = "wrong-secret-4711"
    with running(*PLANTED, "--cache-dir", tmp_path / "cache", "--api-keys", path, "-v") as service:
        for given in (secret, wrong):
            for headers in ({"authorization": f"Bearer {given}"}, {"x-api-key": given}):
                service.get("/v1/stats", headers=headers)
            problem(service.get("/v1/stats", params={"api_key": given}), 401, "key_missing")
        own = {"x-api-key": secret, "x-request-id": b"\x1b[31m".decode("latin-1")}
        service.get("/%1b%5b31mred%0aforged line", headers={"x-api-key": secret})
        service.raw(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: " + secret.encode() + b"\r\nbad\x1b[31m\r\n\r\n")
        metrics = service.get("/metrics", headers=own | {"x-request-id": "a"}).text
        time.sleep(0.2)
        log = service.log
    assert "/v1/stats" in log
    for text in (log, metrics):
        assert secret not in text and wrong not in text
        assert "\x1b" not in text
        assert not any(line.startswith("forged") for line in text.splitlines())
    assert secret not in path.read_text()
