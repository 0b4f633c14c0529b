"""The manifest of a compiled model: its files, what they were made from and on which machine, and the comparison.

It is written last: a folder without a manifest is not a compiled model.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path, PurePosixPath

import msgspec

from imgtool.artefacts.runtime_identity import RuntimeIdentity
from imgtool.ground.sealed import require_seal
from imgtool.ground.versioned import read_json
from imgtool.weights.hashing import is_untouched, measure, sampled_sha256
from imgtool.weights.synthetic.marker import SYNTHETIC

SCHEMA_VERSION = 1
COMPILER_VERSION = 1
"""Raise it whenever graphs or settings of compiled models change their meaning."""

NAME = "manifest.json"
SETTINGS = "settings.json"
FAST = "fast"
"""The folder of the lossy twin."""

OPTIMISED = ".optimised.onnx"
"""Ends the name of a graph that was optimised in advance, for the runtime that wrote it."""

GATE = 4
"""The version of the gate that lossy twins have to pass (:mod:`imgtool.compiling.lossy.gate`): raise it when that gets
stricter, or twins are made in another way. A twin that passed an earlier one is not used."""

_SMALL = 4_000_000


class ArtefactFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file by its name in the folder. ``sample`` is a hash of 64 blocks of 4 kB, spread over a large file.

    ``mtime_ns`` is when it had been written to last when it was hashed: a file with another time is hashed again.
    """

    path: str
    size: int
    sha256: str
    sample: str
    mtime_ns: int = 0


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How a compiled model compares with the library it came from, in this very compile.

    ``figures`` are by name, with the unit in it: ``vision_max_abs_difference``, ``captions_equal_share``.
    """

    passed: bool
    figures: dict[str, float]
    detail: str = ""


class FastMode(msgspec.Struct, frozen=True, kw_only=True):
    """The lossy twin of a compiled model on this kind of machine, with its gain and loss.

    ``executor`` is ``openvino`` or ``onnxruntime``, or empty if nothing was faster and ``fast`` runs as ``exact``.
    ``release`` is OpenVINO's. ``speed_up`` is how many times as fast it answers; ``parity`` compares its answers with
    the exact ones, and ``gate`` is the version of what it had to pass.
    """

    executor: str
    release: str = ""
    method: str
    speed_up: float = 1.0
    parity: Parity
    gate: int = 0


class ArtefactManifest(msgspec.Struct, frozen=True, kw_only=True):
    """One compiled model.

    ``model`` and ``model_version`` are what its source calls itself in results. ``source`` is the folder that the user
    named, ``synthetic/<scale>``, or empty for a published model; ``source_files`` holds the SHA-256 of its weights.
    ``denormals`` is how many weights were set to zero because they were denormal numbers. ``methods`` says, by the
    name of a graph, how it computes where that is not the usual way.
    """

    schema_version: int = SCHEMA_VERSION
    compiler: int = COMPILER_VERSION
    kind: str
    model: str
    model_version: str
    source: str = ""
    revision: str = ""
    source_files: dict[str, str] = {}
    graphs: tuple[str, ...]
    exporter: str
    opset: int
    runtime: RuntimeIdentity
    files: tuple[ArtefactFile, ...]
    parity: Parity | None = None
    fast: FastMode | None = None
    denormals: int = 0
    methods: dict[str, str] = {}
    created: str
    seconds: float = 0.0

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def is_synthetic(self) -> bool:
        """Whether it was made from made-up weights."""
        return self.model_version.startswith(SYNTHETIC)

    @property
    def label(self) -> str:
        """Its name in messages."""
        return f"the compiled {self.model}"

    @property
    def judged_fast(self) -> FastMode | None:
        """The lossy twin, if it passed today's gate or was found not to pay."""
        return self.fast if self.fast is not None and self.fast.gate == GATE else None

    def file(self, path: str) -> ArtefactFile | None:
        """The entry of the file ``path``."""
        return next((file for file in self.files if file.path == path), None)


def read_manifest(folder: Path) -> ArtefactManifest:
    """The manifest of the compiled model in ``folder``.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is damaged, was written by another version of imgtool, or leads out of its folder.
    """
    path = folder / NAME
    facts = path.stat()
    return _read(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)


@lru_cache(maxsize=32)
def _read(path: Path, *_: int) -> ArtefactManifest:
    data = path.read_bytes()
    manifest = read_json(data, ArtefactManifest)
    if (manifest.schema_version, manifest.compiler) != (SCHEMA_VERSION, COMPILER_VERSION):
        raise ValueError("it was written by another version of imgtool")
    require_seal(data, "schema_version")
    if not manifest.files or not manifest.graphs:
        raise ValueError("it names no files")
    for file in manifest.files:
        given = PurePosixPath(file.path)
        if given.is_absolute() or ".." in given.parts or "\0" in file.path:
            raise ValueError(f"the path {file.path!r} leaves its folder")
    # Runs open these files, and check listed files only.
    needed = {SETTINGS, *(f"{graph}{end}" for graph in manifest.graphs for end in (".onnx", OPTIMISED))}
    if missing := needed - {file.path for file in manifest.files}:
        raise ValueError(f"it does not list {', '.join(sorted(missing))}")
    return manifest


def wrong_size(folder: Path, file: ArtefactFile) -> str:
    """What is wrong with ``file``, judged by its size, in words; empty if nothing is.

    A symbolic link is always wrong: onnxruntime refuses weights outside of the model's folder.

    Raises:
        FileNotFoundError: it is not there.
    """
    path = folder / file.path
    # The folder itself may be a link.
    below = (path, *path.parents[: len(Path(file.path).parts) - 1])
    if link := next((each for each in below if each.is_symlink()), None):
        return f"{link} is a symbolic link"
    size = path.stat().st_size
    return "" if size == file.size else f"{path} has {size} bytes instead of {file.size}"


def is_touched(folder: Path, file: ArtefactFile) -> bool:
    """Whether ``file`` was written to since it was hashed.

    Raises:
        FileNotFoundError: it is not there.
    """
    return not is_untouched(file.mtime_ns, (folder / file.path).stat().st_mtime_ns)


def wrong_sample(folder: Path, file: ArtefactFile) -> str:
    """What a quick look at the content of ``file`` finds wrong, in words; empty if nothing is.

    Files of up to 4 MB (graphs, settings, words) and those that were written to since they were hashed are read
    completely, of other weights only samples: what a failing disk changes between two samples, without the time of the
    file, is found by ``imgtool warm-cache --full-check`` only.

    Raises:
        OSError: it cannot be read.
    """
    if problem := wrong_size(folder, file):
        return problem
    path = folder / file.path
    if file.size <= _SMALL or is_touched(folder, file):
        same = measure(path).sha256 == file.sha256
    else:
        same = sampled_sha256([path]) == file.sample
    return "" if same else f"{path} was changed"
