"""The arm ``cached``: a cache of its own, filled once, before anything is measured."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from imgtool.artefacts.find import FOLDER
from imgtool.bench.arms.definitions import CACHED
from imgtool.bench.data.record import ArmKind
from imgtool.bench.measure.experiment import Contender
from imgtool.formats.clean import printable
from imgtool.options import EngineOptions, cache_root
from imgtool.runtime.process import describe_exit

_TAIL_LINES = 12
_OF_MODELS = ("models", FOLDER)
"""Folders of a cache with models, fetched or compiled; everything else in it is answers."""


def filled(
    contender: Contender, options: EngineOptions, folder: Path, timeout: float, say: Callable[[str], None]
) -> Contender:
    """``contender`` with a cache in ``folder`` that holds its answers, by running its command once.

    If ``folder`` exists already, another contender of the same images has filled it. ``timeout`` is seconds; ``say`` is
    told which engines answered, or why none did. That is no error here: the samples fail that have to load a model.
    """
    arm = msgspec.structs.replace(contender.arm, command=(*contender.arm.command, "--cache-dir", str(folder)))
    if not folder.exists():
        beside_models(options, folder)
        _fill(arm.command, timeout, say)
    return Contender(arm, contender.weights)  # no model is read: there is nothing to bring into the page cache


def is_cached(contender: Contender) -> bool:
    """Whether it needs a cache filled beforehand."""
    return contender.arm.kind is ArmKind.ANALYZE and contender.arm.name == CACHED


def beside_models(options: EngineOptions, folder: Path) -> None:
    """Make ``folder`` a cache without answers, with the models of the cache that ``options`` name."""
    folder.mkdir(parents=True)
    for name in _OF_MODELS:
        models = cache_root(options).absolute() / name
        if models.is_dir():
            (folder / name).symlink_to(models, target_is_directory=True)


def _fill(command: Sequence[str], timeout: float, say: Callable[[str], None]) -> None:
    say(f"filling the cache of the arm {CACHED}")
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
        failure, said = describe_exit(done.returncode) if done.returncode else "", done.stderr
    except subprocess.TimeoutExpired as error:
        done, failure, said = None, f"did not end within {timeout:g} s", error.stderr or b""
    if failure:
        say(f"the cache of the arm {CACHED} lacks answers: the run that fills it {failure}")
        for line in said.decode("utf-8", "replace").strip().splitlines()[-_TAIL_LINES:]:
            say(f"    {printable(line)}")
    if done is not None and done.returncode >= 0:  # a process that was killed may have left half a line
        results = map(msgspec.json.decode, done.stdout.splitlines())
        answers = [answer for result in results for answer in result.get("tasks", {}).values()]
        if engines := sorted({f"{answer['engine']} ({answer['backend']})" for answer in answers}):
            say(f"it has answers of {', '.join(engines)}")
