"""Translates exceptions of the hub's library into ours: transient failures, and errors with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgtool.errors import ImgtoolError
from imgtool.files import not_writable
from imgtool.weights.catalogue import ModelSpec
from imgtool.weights.errors import (
    AccessDenied,
    DownloadFailed,
    ModelNotFound,
    NotInStore,
    RepositoryIncomplete,
    UnexpectedAnswer,
)
from imgtool.weights.fetching.connection import certificate_refused, host_of, hub_endpoint
from imgtool.weights.fetching.transient import Transient, of_status
from imgtool.weights.warm_command import WarmCommand

_NETWORK = {"TimeoutException", "NetworkError", "RemoteProtocolError", "ProxyError", "XetDownloadError"}


@contextmanager
def translated(spec: ModelSpec, revision: str, command: WarmCommand) -> Iterator[None]:
    """Turn exceptions of the library inside the block into ours. ``command`` fetches the model.

    Raises:
        Transient: the reason may pass.
        ImgtoolError: it will not.
    """
    try:
        yield
    except (ImgtoolError, Transient):
        raise
    except Exception as error:
        meaning = _meaning(error, spec, f"{spec.repository} at {revision}", command)
        if meaning is None:
            raise
        raise meaning from error


def offline(spec: ModelSpec, command: WarmCommand) -> NotInStore:
    """The error if ``spec`` is missing and the network must not be used."""
    return NotInStore(
        f"{spec.name} is not here, and the network must not be used",
        f"{command.remedy} where there is a network, without --offline and HF_HUB_OFFLINE",
    )


def _meaning(error: BaseException, spec: ModelSpec, where: str, command: WarmCommand) -> Exception | None:
    from huggingface_hub import errors as hub

    if isinstance(error, hub.LocalEntryNotFoundError) and error.__cause__ is not None:
        # The library hides the reason for a failed request behind "not in the cache".
        return _meaning(error.__cause__, spec, where, command)
    host = _host(error)
    if isinstance(error, hub.OfflineModeIsEnabled):
        known: Exception | None = offline(spec, command)
    elif isinstance(error, hub.HfHubHTTPError):
        known = _refusal(error, spec, where)
    else:
        known = certificate_refused(error, host)
    if known is not None:
        return known
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
    if _is_of_network(error) or _may_pass(error):
        return Transient(f"{host} cannot be reached ({said})" if _is_of_network(error) else said)
    if isinstance(error, OSError) and not isinstance(error, hub.FileMetadataError):
        return not_writable(error, Path(error.filename or "the hub's cache"))
    no_hub = UnexpectedAnswer(
        f"{where}: the answer is not that of a hub ({said})",
        "a proxy or a login page may have answered: check HF_ENDPOINT and HTTPS_PROXY",
    )
    return no_hub if isinstance(error, (hub.FileMetadataError, ValueError, KeyError, TypeError)) else None


def _host(error: BaseException) -> str:
    """Who was asked."""
    try:
        return str(error.request.url.host)  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError):  # an error of another kind, or one without its request
        return host_of(hub_endpoint())


def _is_of_network(error: BaseException) -> bool:
    # By name, because different versions of the hub's library use different HTTP and transfer libraries.
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & _NETWORK) or isinstance(error, (ConnectionError, TimeoutError))


def _may_pass(error: BaseException) -> bool:
    from huggingface_hub import errors as hub

    if type(error).__module__.startswith("hf_xet"):
        return True
    # Without an error number: the library found, after the transfer, that the size is not the announced one.
    return isinstance(error, OSError) and error.errno is None and not isinstance(error, hub.FileMetadataError)


def _refusal(error: Exception, spec: ModelSpec, where: str) -> Exception:
    from huggingface_hub import errors as hub

    response = error.response  # type: ignore[attr-defined]
    status = int(response.status_code)
    if transient := of_status(status, response.headers.get("Retry-After")):
        if status == 429:
            transient.remedy = "who is signed in may ask more often: `export HF_TOKEN=hf_...` (a token of your account)"
        return transient
    if isinstance(error, hub.GatedRepoError) or status == 403:
        return AccessDenied(
            f"{where} is gated or forbidden for you (the server answered {status})",
            "accept its conditions on the hub's page of the model, then set HF_TOKEN to a token of that account",
        )
    if status == 401:
        return AccessDenied(
            f"{where} is private or does not exist, or the token is not accepted (the server answered 401)",
            f"check the name {spec.repository}, and set HF_TOKEN to a token that may read it",
        )
    if status != 404:
        return DownloadFailed(f"{where}: the server answered {status}", "check HF_ENDPOINT and the proxy settings")
    if isinstance(error, hub.EntryNotFoundError):
        return RepositoryIncomplete(f"{where} lacks a file that it lists", "choose another revision")
    text, remedy = "the server has no such repository", "check HF_ENDPOINT and the model's name"
    if isinstance(error, hub.RevisionNotFoundError):
        text, remedy = "there is no such revision", "ask for the model without a revision"
    return ModelNotFound(f"{where}: {text}", remedy)
