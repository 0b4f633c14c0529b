"""The memory that a model was loaded and run once here, so that warming a second time need not load it again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from imgtool.errors import StoreNotWritable
from imgtool.files import write_atomically
from imgtool.warming.units import Unit
from imgtool.weights.manifest import now
from imgtool.weights.store import ModelStore


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of imports, a load and a first inference in a process of their own. Memory is its resident set in
    bytes."""

    load_seconds: float
    warm_up_seconds: float
    rss_before: int
    rss_after: int
    import_seconds: float = 0.0


class TrialRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A trial, and everything that it holds for: fingerprints of the models, versions of what ran them."""

    created: str
    models: dict[str, str]
    versions: dict[str, str]
    trial: Trial


def former_trial(unit: Unit, store: ModelStore, versions: Mapping[str, str]) -> Trial | None:
    """The trial of exactly these models with exactly these ``versions``, or ``None``."""
    try:
        record = msgspec.json.decode(_path(unit, store).read_bytes(), type=TrialRecord)
    except (OSError, msgspec.MsgspecError):
        return None
    same = record.models == _fingerprints(unit, store) and record.versions == dict(versions)
    return record.trial if same else None


def keep_trial(unit: Unit, store: ModelStore, versions: Mapping[str, str], trial: Trial) -> None:
    """Remember ``trial``. Where the store cannot be written it is forgotten, which costs another load next time."""
    record = TrialRecord(created=now(), models=_fingerprints(unit, store), versions=dict(versions), trial=trial)
    try:
        write_atomically(_path(unit, store), msgspec.json.encode(record))
    except StoreNotWritable:
        return


def _path(unit: Unit, store: ModelStore) -> Path:
    name = "+".join(model.name for model in unit.models) or re.sub(r"[^A-Za-z0-9._-]+", "-", unit.name)
    return store.root / ".trials" / f"{name}.json"


def _fingerprints(unit: Unit, store: ModelStore) -> dict[str, str]:
    return {model.name: store.fingerprint(model.name) or "" for model in unit.models}
