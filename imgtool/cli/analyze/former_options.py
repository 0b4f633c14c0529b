"""Options of earlier versions that set one parameter of an engine each: ``--ocr-allowlist`` is ``--ocr allowlist=``."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence

from imgtool.cli.console import Messages

_FORMER = ("--ocr-", "--no-ocr-", "--tesseract-", "--labels-")


def as_now(words: Sequence[str], known: Collection[str]) -> list[str]:
    """The words of a command line with such options in today's spelling, which is said on stderr. ``known`` are the
    options that exist."""
    if not any(word.startswith(_FORMER) and word.partition("=")[0] not in known for word in words):
        return list(words)
    from imgtool.parameters import TABLES, formerly

    messages = Messages(quiet=not {"-q", "--quiet"}.isdisjoint(words))
    found: list[str] = []
    rest = iter(words)
    for word in rest:
        name, is_joined, value = word.partition("=")
        is_off = name.startswith("--no-")
        now = formerly(name.removeprefix("--no-" if is_off else "--").replace("-", "_"))
        if word == "--":
            found += [word, *rest]
        elif name in known or now is None or not name.startswith("--"):
            found.append(word)
        else:
            option, parameter = now
            if TABLES[option][parameter].kind is bool:
                value = "no" if is_off else "yes"
            elif not is_joined:
                value = next(rest, "")
            found += [f"--{option}", f"{parameter}={value}"]
            messages.notice(f"{name} is an option of earlier versions: write {shlex.join(found[-2:])}")
    return found
