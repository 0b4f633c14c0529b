"""What the commands of ``imgtool bench`` share: reading options, reporting progress, printing figures."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from imgtool.errors import UsageProblem

if TYPE_CHECKING:
    from rich.console import Console

    from imgtool.bench.measure.experiment import Contender

Value = TypeVar("Value")


def parsed_option(flag: str, text: str, parse: Callable[[str], Value]) -> Value:
    """What ``parse`` makes of ``text``.

    Raises:
        UsageProblem: it raised a ValueError.
    """
    try:
        return parse(text)
    except ValueError as error:
        raise UsageProblem(f"{flag}: {error}") from error


def split_options(text: str | None) -> list[str]:
    """The words of ``text`` as a shell would take them.

    Raises:
        UsageProblem: a quote is left open.
    """
    try:
        return shlex.split(text or "")
    except ValueError as error:
        raise UsageProblem(f"{text!r} cannot be read: {str(error).lower()}", "close the quotes") from error


def teller(quiet: bool) -> Callable[[str], None]:
    """A function that prints progress on stderr."""
    from imgtool.cli.console import Messages

    messages = Messages(quiet=quiet)
    return lambda text: messages.plain(messages.dim(text))


def data_console() -> Console:
    """A console for stdout as wide as the terminal, coloured where wanted."""
    from rich.console import Console

    from imgtool.cli.console import terminal_width, wants_color

    color = wants_color(sys.stdout)
    return Console(
        file=sys.stdout,
        width=terminal_width(sys.stdout),
        force_terminal=color,
        no_color=not color,
        highlight=False,
        markup=False,
    )


def print_json(value: Any) -> None:
    """``value`` as indented JSON on stdout."""
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def contenders(
    arms: Sequence[str], commands: Sequence[str], common: Sequence[str], images: Sequence[str]
) -> list[Contender]:
    """What ``--arm`` and ``--command`` name, ready to run; without either, ``analyze`` as it is configured.

    ``common`` are options of analyze for all of them.

    Raises:
        imgtool.errors.ImgtoolError: there is no such arm or program, or a model of it is missing.
    """
    from imgtool.bench.arms.contenders import Stage, contender
    from imgtool.bench.arms.definitions import arm_of_command, arm_of_options, built_in
    from imgtool.cli.analyze.parser import engine_flags
    from imgtool.config import resolve

    chosen = [arm_of_options(text) if "=" in text else built_in([text])[0] for text in arms]
    chosen += [arm_of_command(text) for text in commands]
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
