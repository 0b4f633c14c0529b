"""What the environment says about connections: the hub's address, and the certificates that are trusted."""

from __future__ import annotations

import os
import ssl
from urllib.parse import urlsplit

from imgtool.weights.errors import BadEndpoint, CertificateRefused

HUB = "https://huggingface.co"

_CERTIFICATES = "name the certificates of your network, as one file: `export SSL_CERT_FILE=/path/to/ca.pem`"


def hub_endpoint() -> str | None:
    """The address in ``HF_ENDPOINT``; ``None`` for the hub's own.

    Raises:
        BadEndpoint: it is no web address.
    """
    given = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/")
    if not given:
        # An argument of a Dockerfile is set and empty; the hub's library would take that for an address.
        os.environ.pop("HF_ENDPOINT", None)
        return None
    require_web_address("HF_ENDPOINT", given)
    return given


def require_web_address(variable: str, address: str) -> None:
    """
    Raises:
        BadEndpoint: ``address``, from ``variable``, is no web address.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        bare = address.rpartition("://")[2].lstrip("/")
        raise BadEndpoint(
            f"{variable} is {address!r}, which is no web address", f"write it as `export {variable}=https://{bare}`"
        )


def host_of(address: str | None) -> str:
    """The host's name, for messages."""
    return urlsplit(address or HUB).netloc


def trust_named_certificates() -> None:
    """Have certificates trusted that ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE`` names, too, as many networks set only
    these: the libraries here read ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``.

    Raises:
        CertificateRefused: what is named is not there, or may not be read.
    """
    named = next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)), None)
    if named is not None:
        is_folder = os.path.isdir(os.environ[named])  # noqa: PTH112 - pathlib's raises
        variable = "SSL_CERT_DIR" if is_folder else "SSL_CERT_FILE"
        if not os.environ.get(variable):
            os.environ[variable] = os.environ[named]
    file = os.environ.get("SSL_CERT_FILE")
    if file and not os.access(file, os.R_OK):
        raise CertificateRefused(f"{named or 'SSL_CERT_FILE'} names {file}, which cannot be read", _CERTIFICATES)


def certificate_refused(error: BaseException, host: str) -> CertificateRefused | None:
    """``error`` as one with a remedy, if it or a cause of it says that a certificate is not trusted."""
    link: BaseException | None = error
    while link is not None:
        reason = getattr(link, "reason", None)
        for each in (link, reason):
            if isinstance(each, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(each):
                why = getattr(each, "verify_message", "") or "certificate verify failed"
                return CertificateRefused(f"the certificate of {host} is not trusted: {why}", _CERTIFICATES)
        link = link.__cause__ or link.__context__
    return None
