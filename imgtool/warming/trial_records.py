"""Records of trials: a model that was loaded and run once here need not be loaded again by the next warming."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from imgtool.errors import StoreNotWritable
from imgtool.files import write_atomically
from imgtool.ground.versioned import read_json
from imgtool.warming.units import Unit
from imgtool.weights.manifest import now
from imgtool.weights.store import ModelStore


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """Measurements of imports, a load and a first inference. Memory is the process's resident set in bytes."""

    load_seconds: float
    warm_up_seconds: float
    rss_before: int
    rss_after: int
    import_seconds: float = 0.0


class TrialRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A trial, with the fingerprints of the models and the versions of the packages for which it is valid."""

    created: str
    models: dict[str, str]
    versions: dict[str, str]
    trial: Trial


def former_trial(unit: Unit, store: ModelStore, versions: Mapping[str, str]) -> Trial | None:
    """The trial of exactly these models with exactly these ``versions``, or ``None``."""
    try:
        record = read_json(_path(unit, store).read_bytes(), TrialRecord)
    except (OSError, ValueError):
        return None
    same = record.models == _fingerprints(unit, store) and record.versions == dict(versions)
    return record.trial if same else None


def keep_trial(unit: Unit, store: ModelStore, versions: Mapping[str, str], trial: Trial) -> None:
    """Record ``trial``. If the store cannot be written, the next warming loads the model again."""
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
