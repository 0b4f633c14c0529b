"""The URL of a shared cache: what it may say, and how it is shown without its password."""

from __future__ import annotations

from importlib.util import find_spec
from urllib.parse import parse_qsl, urlsplit

from imgtool.distribution import install_command
from imgtool.errors import MissingExtra, UsageProblem

_EXAMPLES = "redis://host:6379/0, rediss://host:6380/0 with TLS, or unix:///run/redis.sock"
_QUERY = {
    *("db", "username", "password"),
    *("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"),
}
"""What may be set after the ``?``. Time limits are imgtool's own matter."""


class SharedCacheUrlProblem(UsageProblem):
    """A URL that names no shared cache."""


def check_url(url: str) -> None:
    """Refuse a URL that names no Redis server, and any where the client library is missing. Nothing is imported or
    connected. No message repeats the URL, which may hold a password.

    Raises:
        SharedCacheUrlProblem: it names none.
        imgtool.errors.MissingExtra: redis-py is not installed.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        raise SharedCacheUrlProblem(
            "the URL of the shared cache cannot be read",
            f"write {_EXAMPLES}; in a password, / is %2F, @ is %40, # is %23 and : is %3A",
        ) from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise SharedCacheUrlProblem("the URL of the shared cache names no Redis server", f"write {_EXAMPLES}")
    if parts.fragment or port == 0 or not (parts.path if parts.scheme == "unix" else parts.hostname):
        raise SharedCacheUrlProblem("the URL of the shared cache names no server", f"write {_EXAMPLES}")
    number = query.get("db", "" if parts.scheme == "unix" else parts.path.strip("/"))
    if number and not (number.isascii() and number.isdigit()):
        raise SharedCacheUrlProblem("the URL of the shared cache names a database that is no number", "write .../0")
    if unknown := sorted(query.keys() - _QUERY):
        raise SharedCacheUrlProblem(
            f"the URL of the shared cache sets {unknown[0]!r}", f"what can be set: {', '.join(sorted(_QUERY))}"
        )
    if find_spec("redis") is None:
        raise MissingExtra("a shared cache needs redis-py, which is not installed", install_command("redis"))


def without_password(url: str) -> str:
    """The URL as it is shown: scheme, host and database."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
