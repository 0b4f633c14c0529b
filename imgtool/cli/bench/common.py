"""What the commands of ``imgtool bench`` share: reading options and arms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.errors import UsageProblem

if TYPE_CHECKING:
    from imgtool.bench.measure.experiment import Contender


def contenders(
    arms: Sequence[str], commands: Sequence[str], common: Sequence[str], images: Sequence[str], *, shell: bool = False
) -> list[Contender]:
    """What ``--arm`` and ``--command`` name, ready to run; without either, ``analyze`` as it is configured.

    ``common`` are options of analyze for all of them; ``shell``: programs are run by a shell.

    Raises:
        imgtool.errors.ImgtoolError: there is no such arm or program, or a model of it is missing.
    """
    from imgtool.bench.arms.commands import CommandRequest
    from imgtool.bench.arms.contenders import Stage, contender
    from imgtool.bench.arms.definitions import arm_of_options, built_in
    from imgtool.cli.analyze.parser import engine_flags
    from imgtool.config import resolve

    chosen = [arm_of_options(text) if "=" in text else built_in([text])[0] for text in arms]
    chosen += CommandRequest(named=tuple(commands), shell=shell).arms()
    chosen = chosen or [arm_of_options("analyze=")]
    names = [arm.name for arm in chosen]
    if len(set(names)) < len(names):
        raise UsageProblem(f"two arms have the name {max(names, key=names.count)!r}", "name each differently")
    stage = Stage(images=tuple(images), common=tuple(common), parse=lambda words: resolve(engine_flags(words)).engine)
    return [contender(arm, stage) for arm in chosen]


def made_ready(
    contender: Contender, common: Sequence[str], scratch: Path, timeout: float, say: Callable[[str], None]
) -> Contender:
    """``contender``; the arm ``cached`` with a filled cache in ``scratch``, one for all that share ``scratch``.

    ``common`` are its options of analyze beside its own, ``timeout`` is seconds.

    Raises:
        UsageProblem: its options cannot be read.
    """
    from imgtool.bench.arms.cached import filled, is_cached
    from imgtool.cli.analyze.parser import engine_options

    if not is_cached(contender):
        return contender
    options = engine_options((*common, *contender.arm.options))
    return filled(contender, options, scratch / "cache", timeout, say)
