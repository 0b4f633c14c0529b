"""Arms that run any program: the words of a command, the shell, parameters, and what runs before and after.

``--setup``, ``--prepare`` and ``--cleanup`` mean what they do in hyperfine (https://github.com/sharkdp/hyperfine).
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from imgtool.bench.data.record import Arm, ArmKind
from imgtool.errors import PathMissing, UsageProblem
from imgtool.image_formats import IMAGE_SUFFIXES, sniff_file

SHELL = ("/bin/sh", "-c")

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,39}$")
_PARAMETER = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]*$")
_OUTSIDE_QUOTES, _IN_DOUBLE_QUOTES = frozenset("|&;<>$`\n"), frozenset("$`")
_MOST_ARMS = 1000


@dataclass(frozen=True)
class CommandRequest:
    """Programs as they were typed: ``named`` are ``NAME=COMMAND``, ``plain`` commands that are their own name.

    ``parameters`` are names and values; each of their combinations makes an arm of each command. ``setup``, ``prepare``
    and ``cleanup`` are none, one for all commands, or one for each. ``shell``: all of them are run by ``sh -c``.
    """

    named: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    parameters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    setup: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    cleanup: tuple[str, ...] = ()
    shell: bool = False

    def arms(self) -> list[Arm]:
        """An arm for each command and combination of parameters, commands in the order in which they were typed.

        Raises:
            UsageProblem: one cannot be read, there is no such program, a parameter is used nowhere, or the numbers of
                commands and of preparations differ.
        """
        templates: list[tuple[str | None, str]] = [named(text, "--command") for text in self.named]
        templates += [(None, text) for text in self.plain]
        hooks = {name: self._each(name, len(templates)) for name in ("setup", "prepare", "cleanup")}
        texts = [*self.named, *self.plain, *self.setup, *self.prepare, *self.cleanup]
        for name, _ in self.parameters:
            if not any("{" + name + "}" in text for text in texts):
                raise UsageProblem(
                    f"--parameter {name} is used nowhere", f"write {{{name}}} in a command where its values belong"
                )
        found = []
        for place, (name, command) in enumerate(templates):
            around = {hook: commands[place] for hook, commands in hooks.items()}
            for values in self._combinations([command, name or "", *filter(None, around.values())]):
                arm = self._arm(name, filled(command, values), values)
                words = {
                    hook: self._words(filled(text, values), f"--{hook}")
                    for hook, text in around.items()
                    if text is not None
                }
                found.append(replace(arm, **words))
        if len(found) > _MOST_ARMS:
            raise UsageProblem(f"the parameters make {len(found):,} arms", f"give values for at most {_MOST_ARMS:,}")
        return found

    def _arm(self, name: str | None, command: str, values: Mapping[str, str]) -> Arm:
        label = "a command" if name is None else f"--command {name}"
        if name is None:
            name = " ".join(command.split())
        elif values:
            given = filled(name, values)
            name = given if given != name else f"{name} {' '.join(f'{key}={value}' for key, value in values.items())}"
        words = self._words(command, label)
        # What --setup or --prepare makes is not there yet.
        if not (self.shell or self.setup or self.prepare):
            _check_program(words[0], label)
        return Arm(
            name=name,
            kind=ArmKind.COMMAND,
            command=words,
            summary="" if name == command else command if self.shell else shlex.join(words),
            shell=self.shell,
            parameters=dict(values),
        )

    def _words(self, text: str, label: str) -> tuple[str, ...]:
        if not text.strip():
            raise UsageProblem(f"{label} names no program", "imgtool bench 'sleep 1'")
        if self.shell:
            return (*SHELL, text)
        if special := next(shell_syntax(text), None):
            raise UsageProblem(
                f"{text!r} has {special!r}, which only a shell understands, and commands run without one",
                f"imgtool bench --shell {shlex.quote(text)}; or quote it, so that the program gets it",
            )
        return split_words(text, f"{label}: ")

    def _each(self, name: str, commands: int) -> list[str | None]:
        """The command of a hook for each of the commands."""
        given: tuple[str, ...] = getattr(self, name)
        if given and not commands:
            raise UsageProblem(f"--{name} is about a command, and there is none", "imgtool bench 'sleep 1'")
        if len(given) not in (0, 1, commands):
            raise UsageProblem(
                f"--{name} was given {len(given)} times for {commands} commands", "give it once, or once for each"
            )
        return [None] * commands if not given else list(given * commands if len(given) == 1 else given)

    def _combinations(self, texts: Sequence[str]) -> Iterator[dict[str, str]]:
        """Values of the parameters that ``texts`` use, in all combinations; one without values if they use none."""
        used = [(name, values) for name, values in self.parameters if any("{" + name + "}" in text for text in texts)]
        for chosen in itertools.product(*(values for _, values in used)):
            yield dict(zip((name for name, _ in used), chosen, strict=True))


def parse_parameter(text: str) -> tuple[str, tuple[str, ...]]:
    """The name and the values of ``NAME=a,b,c``; ``\\,`` is a comma in a value.

    Raises:
        ValueError: it is not of that form.
    """
    name, equals, values = text.partition("=")
    if not equals or not _PARAMETER.match(name):
        raise ValueError(f"{text!r} is not NAME followed by values, such as: threads 1,2,4")
    found = tuple(part.replace("\\,", ",") for part in re.split(r"(?<!\\),", values))
    if len(set(found)) < len(found):
        raise ValueError(f"{name} has the value {max(found, key=found.count)!r} twice")
    return name, found


def filled(text: str, values: Mapping[str, str]) -> str:
    """``text`` with each ``{NAME}`` replaced by its value; other braces stay."""
    pattern = "|".join(re.escape("{" + name + "}") for name in values)
    return re.sub(pattern, lambda match: values[match[0][1:-1]], text) if values else text


def named(text: str, flag: str) -> tuple[str, str]:
    """The two parts of ``NAME=WORDS``.

    Raises:
        UsageProblem: ``text`` is not of that form.
    """
    name, equals, words = text.partition("=")
    if not equals or not _NAME.match(name.replace("{", "").replace("}", "")):
        raise UsageProblem(f"{flag} {text!r} is not NAME=WORDS", f"write for example {flag} 'mine=--threads 2'")
    return name, words


def split_words(text: str, label: str = "") -> tuple[str, ...]:
    """The words of ``text`` as a shell would take them; ``label`` begins the message if it would not.

    Raises:
        UsageProblem: a quote is left open.
    """
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageProblem(f"{label}{text!r} cannot be read: {str(error).lower()}", "close the quotes") from error


def shell_syntax(text: str) -> Iterator[str]:
    """What of ``text`` would mean something to a shell: pipes, redirections, ``&``, ``;``, variables, substitutions.

    What is in quotes, or behind a backslash, does not count, as in a shell.
    """
    quote, escaped = "", False
    for place, character in enumerate(text):
        if escaped:
            escaped = False
        elif quote == "'":
            quote = "" if character == "'" else quote
        elif character == "\\":
            escaped = True
        elif character == '"':
            quote = "" if quote else '"'
        elif character == "'" and not quote:
            quote = "'"
        elif character in (_IN_DOUBLE_QUOTES if quote else _OUTSIDE_QUOTES):
            pair = text[place : place + 2]
            yield pair if pair in ("&&", "||", ">>", "<<", "$(", "${") else character


def sort_words(words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What was named without an option, as images and as commands: a file is an image, unless it can be run and is
    none.

    Raises:
        PathMissing: a word looks like the path of an image, and nothing is there.
        UsageProblem: a folder was named.
    """
    images: list[str] = []
    commands: list[str] = []
    for word in words:
        path = Path(word)
        if path.is_file():
            runs = os.access(path, os.X_OK) and sniff_file(word) is None
            (commands if runs else images).append(word)
        elif path.is_dir():
            raise UsageProblem(f"{word} is a folder", "name images, not folders: each arm gets the same ones")
        elif path.suffix.lower() in IMAGE_SUFFIXES and len(word.split()) == 1:
            raise PathMissing(f"{word} does not exist", "name images that do, or a command: imgtool bench 'sleep 1'")
        else:
            commands.append(word)
    return tuple(images), tuple(commands)


def _check_program(program: str, label: str) -> None:
    if shutil.which(program) is None:
        raise UsageProblem(
            f"{label}: there is no program {program!r}",
            "check its name and its permissions; what a shell defines needs --shell",
        )
