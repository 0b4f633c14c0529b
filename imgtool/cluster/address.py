"""What ``--cluster`` may name."""

from __future__ import annotations

from importlib.util import find_spec
from urllib.parse import urlsplit

from imgtool.distribution import install_command
from imgtool.errors import MissingExtra, UsageProblem

CLIENT_PORT = 10001
"""Where the head of a cluster listens for ``ray://``."""


def check_address(address: str) -> None:
    """
    Raises:
        UsageProblem: it is no address.
        MissingExtra: Ray is not installed.
    """
    host_and_port(address)
    if find_spec("ray") is None:
        raise MissingExtra("--cluster needs Ray, which is not installed", install_command("cluster"))


def host_and_port(address: str) -> tuple[str, int] | None:
    """Where to connect to; ``None`` for ``auto`` and ``local``.

    Raises:
        UsageProblem: it is no address.
    """
    if address in ("auto", "local"):
        return None
    remedy = "auto (the cluster that this machine belongs to), local, HOST:6379 or ray://HOST:10001"
    is_client = address.startswith("ray://")
    try:
        parts = urlsplit(address if is_client else f"//{address}")
        host, port = parts.hostname, parts.port or (CLIENT_PORT if is_client else None)
    except ValueError as error:
        raise UsageProblem(f"--cluster {address!r} is no address: {error}", remedy) from error
    if not host or port is None or parts.path.strip("/") or parts.query or "@" in parts.netloc:
        raise UsageProblem(f"--cluster {address!r} is no address", remedy)
    return host, port
