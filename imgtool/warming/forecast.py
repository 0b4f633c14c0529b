"""Predicts what a fetch would transfer, and from where."""

from __future__ import annotations

from dataclasses import dataclass

from imgtool.weights.catalogue import Kind, ModelSpec
from imgtool.weights.fetching import hub
from imgtool.weights.fetching.fetch_job import FetchOptions
from imgtool.weights.fetching.transient import transferred
from imgtool.weights.store import ModelStore


@dataclass(frozen=True)
class Forecast:
    """What would be done for a model. ``exact``: ``size_bytes`` comes from the publisher, not from our catalogue.

    ``size_bytes`` is what would be transferred or copied; 0 if the model is complete.
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
        imgtool.errors.ImgtoolError: the hub cannot be reached, or refuses.
    """
    if not options.refresh and store.status(model, full=options.full).complete:
        return Forecast(model.name, False, "already here")
    source, size = "", model.size_bytes
    if model.kind is Kind.SYNTHETIC:
        source = "random numbers, made on this machine"
    elif options.source is not None:
        source = f"the folder {options.source}"
    elif options.offline or hub.offline_by_environment():
        source, size = "what is in the cache; the network must not be used", 0
    elif model.kind is Kind.EASYOCR:
        source = "EasyOCR's releases"
    if source:
        return Forecast(model.name, True, source, size, exact=False)
    listing = transferred(
        lambda: hub.listing(model, model.revision, store.command(model)),
        options.retry,
        f"asking the hub about {model.repository}",
        lambda *_: None,
    )
    paths = {name: hub.cached_path(store.places.hub, model, listing.commit, name) for name in listing.files}
    missing = sum(listing.files[name].size or 0 for name, path in paths.items() if not path.exists())
    return Forecast(model.name, True, model.repository, missing, commit=listing.commit)
