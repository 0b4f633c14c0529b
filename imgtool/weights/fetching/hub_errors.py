"""What the hub's library raises, as what it means: try again, or a message with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgtool.errors import ImgtoolError, ModelMissing
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
from imgtool.weights.fetching.retry import Transient, seconds_asked, transient_status


@contextmanager
def translated(spec: ModelSpec, revision: str) -> Iterator[None]:
    """Turn failures of the library, inside the block, into ours.

    Raises:
        Transient: it may go better next time.
        ImgtoolError: it will not.
    """
    try:
        yield
    except (ImgtoolError, Transient):
        raise
    except Exception as error:
        meaning = _meaning(error, spec, revision)
        if meaning is None:
            raise
        raise meaning from error


def _meaning(error: BaseException, spec: ModelSpec, revision: str) -> Exception | None:
    from huggingface_hub import errors as hub

    where = f"{spec.repository} at {revision}"
    if isinstance(error, hub.LocalEntryNotFoundError) and error.__cause__ is not None:
        # The library hides why it could not ask the hub behind "not in the cache".
        return _meaning(error.__cause__, spec, revision)
    if isinstance(error, hub.OfflineModeIsEnabled):
        return offline(spec)
    if isinstance(error, hub.HfHubHTTPError):
        return _refusal(error, spec, where)
    if isinstance(error, hub.FileMetadataError):
        return _no_hub(where, error)
    return _other(error, where)


def _other(error: BaseException, where: str) -> Exception | None:
    if _is_network(error):
        return Transient(_short(error))
    if isinstance(error, OSError):
        if error.errno is not None:
            return not_writable(error, Path(error.filename or "the hub's cache"))
        # Without an error number: the library's own check, after the transfer, that the size is the announced one.
        return Transient(_short(error))
    return _no_hub(where, error) if isinstance(error, (ValueError, KeyError, TypeError)) else None


def _refusal(error: Exception, spec: ModelSpec, where: str) -> Exception:
    response = error.response  # type: ignore[attr-defined]
    status = int(response.status_code)
    if transient_status(status):
        return Transient(f"the server answered {status}", seconds_asked(response.headers.get("Retry-After")))
    if denied := _denied(error, spec, where, status):
        return denied
    if status == 404:
        return _not_found(error, spec, where)
    return DownloadFailed(f"{where}: the server answered {status}", "check HF_ENDPOINT and the proxy settings")


def _denied(error: Exception, spec: ModelSpec, where: str, status: int) -> AccessDenied | None:
    from huggingface_hub import errors as hub

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
    return None


def _not_found(error: Exception, spec: ModelSpec, where: str) -> ModelMissing:
    from huggingface_hub import errors as hub

    if isinstance(error, hub.RevisionNotFoundError):
        return ModelNotFound(f"{where}: there is no such revision", f"try {spec.name} without a revision")
    if isinstance(error, hub.EntryNotFoundError):
        return RepositoryIncomplete(f"{where} lacks a file that it lists", "choose another revision")
    return ModelNotFound(f"{where}: the server has no such repository", "check HF_ENDPOINT and the model's name")


def offline(spec: ModelSpec) -> NotInStore:
    """The refusal to fetch ``spec`` because the network is not to be used."""
    return NotInStore(
        f"{spec.name} is not here, and the network is not to be used",
        f"run `imgtool warm-cache {spec.name}` where there is a network, without --offline and HF_HUB_OFFLINE",
    )


def _no_hub(where: str, error: BaseException) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"{where}: what answered is no hub ({_short(error)})",
        "a proxy or a login page may stand between: check HF_ENDPOINT and HTTPS_PROXY",
    )


_NETWORK = {"TimeoutException", "NetworkError", "RemoteProtocolError", "ProxyError", "XetDownloadError"}


def _is_network(error: BaseException) -> bool:
    # By name: which HTTP library the hub's uses, and whether it calls its own transfer library, changes by version.
    names = {kind.__name__ for kind in type(error).__mro__}
    foreign = type(error).__module__.startswith("hf_xet")
    return bool(names & _NETWORK) or foreign or isinstance(error, (ConnectionError, TimeoutError))


def _short(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
