"""What a classifier is: its files, what they say, and everything about them that can change an answer.

The light parent process does this for its plan; the worker reads the same sources again when it loads the model.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from imgtool.analyzers.interface import Probe
from imgtool.analyzers.labels import REMEDY
from imgtool.analyzers.labels.folder import FLAG, FOLDER, MODEL, TAGS, Files, find_files
from imgtool.analyzers.labels.known_files import KnownFile, know
from imgtool.analyzers.labels.names import read_labels
from imgtool.analyzers.labels.published import TAGGER
from imgtool.analyzers.labels.settings import Dims, Given, convert, describe_assumed, guess_layout, merge, resolve
from imgtool.analyzers.labels.sources import from_folder, from_metadata, from_sidecar
from imgtool.artefacts.places import cleaned_root
from imgtool.errors import ConfigProblem, ImgtoolError, ModelLoadFailed, ModelMissing, UsageProblem
from imgtool.options import EngineOptions, cache_root

_UNNAMED = re.compile(r"LABEL_\d+")
"""What transformers calls classes that have no names."""


def probe(options: EngineOptions, model: Path) -> Probe:
    """What is found at the path ``model``. Reads a file once, for its hash."""
    try:
        files = find_files(options, model)
        known, weights = _know_model(files.model, options)
        notice = _notice(files, known, options)
    except ImgtoolError as error:
        return Probe(available=False, model=model.name, reason=str(error), remedy=error.remedy)
    return Probe(
        available=True,
        model=files.model.name,
        model_version=f"sha256:{_version(known, weights)[:12]}",
        size_bytes=sum(file.stat[2] for file in (known, *weights.values())),
        notice=notice,
    )


def parameters(options: EngineOptions, model: Path) -> dict[str, Any]:
    """The parameters of :class:`Classifier`: hashes of the files, the flags as given, and under ``paths`` the files.

    Raises:
        ImgtoolError: as :meth:`Classifier.parameters`.
    """
    files = find_files(options, model)
    known, weights = _know_model(files.model, options)
    if files.sidecar is not None:
        from_sidecar(files.sidecar)
    from_folder(list(files.published))
    flags = convert(options.classifier, "--classifier")
    return {
        "paths": {**files.as_json(), "cleaned": str(cleaned_root(options))},
        "model_sha256": known.sha256,
        "weights_sha256": {location: file.sha256 for location, file in weights.items()},
        "endings": known.graph.endings,
        "labels_sha256": files.labels and _know(files.labels, options).sha256,
        "labels_from": files.labels_from,
        "labels_name": files.labels and files.labels.name,
        "sidecar_sha256": files.sidecar and _know(files.sidecar, options).sha256,
        "published_sha256": [_know(path, options).sha256 for path in files.published],
        "preprocessing": {key: list(value) if isinstance(value, tuple) else value for key, value in flags.items()},
        "top_k": options.top_k,
        "threshold": options.threshold,
    }


def choose_labels(
    paths: Mapping[str, Any], labels_from: str, sources: Mapping[str, Given]
) -> tuple[tuple[str, ...], str]:
    """The names and where they are from: names for this model come before a file that only lies in its folder.

    Raises:
        ModelLoadFailed: there are none, or the file with them cannot be used.
    """
    order = {
        FLAG: ("file",),
        MODEL: ("sidecar", "file", "metadata"),
        FOLDER: ("sidecar", "metadata", "published", "file"),
    }
    for source in order[labels_from]:
        names = sources.get(source, {}).get("labels")
        if source == "file" and paths["labels"]:
            return read_labels(Path(paths["labels"])), f"the labels file {paths['labels']}"
        if names is not None and not (paths["labels"] and all(map(_UNNAMED.fullmatch, names))):
            where = {"sidecar": paths["sidecar"], "metadata": "the model's metadata"}
            return names, where.get(source) or ", ".join(paths["published"])
    raise ModelLoadFailed("the classifier's classes have no names", f"give one a line: {REMEDY}")


def read_sources(
    paths: Mapping[str, Any], labels_from: str, metadata: Mapping[str, str], dims: Dims
) -> dict[str, Given]:
    """What each source but the flags says, the strongest last.

    ``paths`` and ``labels_from`` are those of :func:`parameters`.

    Raises:
        ConfigProblem, ModelNotUsable: one cannot be used.
    """
    is_tagger = paths["labels"] is not None and labels_from == FOLDER and Path(paths["labels"]).name == TAGS
    return {
        "published": from_folder([Path(path) for path in paths["published"]], dims),
        "tagger": TAGGER if is_tagger and guess_layout(dims) == "NHWC" else {},
        "metadata": from_metadata(metadata),
        "sidecar": from_sidecar(Path(paths["sidecar"]), dims) if paths["sidecar"] else {},
    }


def _notice(files: Files, model: KnownFile, options: EngineOptions) -> str:
    """What is assumed about the preprocessing, because nothing says it."""
    graph = model.graph
    if len(graph.shapes) != 1 or len(dims := graph.shapes[0]) != 4:
        return ""  # loading says what is wrong
    sources = read_sources(files.as_json(), files.labels_from, graph.metadata, dims)
    given = merge(*sources.values(), convert(options.classifier, "--classifier"))
    try:
        assumed = describe_assumed(given, resolve(given, dims, graph.dtype), dims, graph.dtype)
    except ImgtoolError:
        return ""
    return f"nothing says how {files.model.name} sees images; assumed: {assumed} (see --classifier)" if assumed else ""


def _version(model: KnownFile, weights: Mapping[str, KnownFile]) -> str:
    """One hash of the graph and of all weights outside it."""
    parts = [model.sha256, *(f"{location}:{file.sha256}" for location, file in weights.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() if weights else model.sha256


def _know_model(path: Path, options: EngineOptions) -> tuple[KnownFile, dict[str, KnownFile]]:
    """What is known about a model and, by location, about each file outside it that has weights of it.

    Raises:
        ModelMissing: such a file is not there.
        UsageProblem: a file cannot be read.
    """
    model = _know(path, options, model=True)
    weights = {}
    for location in model.graph.external:
        if not (path.parent / location).is_file():
            raise ModelMissing(
                f"{path} keeps weights in {location!r}, which is not there", "put that file beside the model"
            )
        weights[location] = _know(path.parent / location, options)
    return model, weights


def _know(path: Path, options: EngineOptions, *, model: bool = False) -> KnownFile:
    """What is known about a file that the user named.

    Raises:
        UsageProblem: it cannot be read.
    """
    kept = None
    with suppress(ConfigProblem):  # a user without a home keeps nothing
        kept = cache_root(options)
    try:
        return know(path, kept, model=model, trust=not options.rehash)
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
