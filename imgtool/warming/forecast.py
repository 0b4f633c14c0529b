"""What a fetch would do, without doing it: how many bytes, from where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imgtool.weights.catalogue import Kind, ModelSpec
from imgtool.weights.fetching import hub
from imgtool.weights.fetching.fetch import FetchOptions
from imgtool.weights.fetching.retry import with_retries
from imgtool.weights.store import ModelStore


@dataclass(frozen=True)
class Forecast:
    """What would be done for a model. ``exact`` says that ``size_bytes`` comes from the publisher, not our catalogue.

    ``size_bytes`` is what would be transferred (or copied); 0 where the model is complete.
    """

    model: str
    needed: bool
    source: str
    size_bytes: int = 0
    exact: bool = True
    commit: str = ""


def forecast(model: ModelSpec, store: ModelStore, options: FetchOptions) -> Forecast:
    """What fetching ``model`` would do. One request to the hub, none for a model that is complete or offline.

    Raises:
        imgtool.errors.ImgtoolError: the hub cannot be asked, or says no.
    """
    if not options.refresh and store.status(model, full=options.full).complete:
        return Forecast(model.name, False, "already here")
    if model.kind is Kind.SYNTHETIC:
        return Forecast(model.name, True, "random numbers, made on this machine", model.size_bytes, exact=False)
    if options.source is not None:
        return Forecast(model.name, True, f"the folder {options.source}", model.size_bytes, exact=False)
    if options.offline or hub.offline_by_environment():
        return Forecast(model.name, True, "what is in the cache; the network is not to be used", 0, exact=False)
    if model.kind is Kind.EASYOCR:
        return Forecast(model.name, True, "EasyOCR's releases", model.size_bytes, exact=False)
    return _from_hub(model, store.places.hub, options)


def _from_hub(model: ModelSpec, cache: Path, options: FetchOptions) -> Forecast:
    listing = with_retries(
        lambda: hub.listing(model, model.revision),
        options.retry,
        f"asking the hub about {model.repository}",
        lambda *_: None,
    )
    missing = [file for file in listing.files if not hub.cached_path(cache, model, listing.commit, file.path).exists()]
    size = sum(file.expected.size or 0 for file in missing)
    return Forecast(model.name, True, model.repository, size, commit=listing.commit)
