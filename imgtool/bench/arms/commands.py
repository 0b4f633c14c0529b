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
_TOKENS = re.compile(
    r"""'([^']*)' | "((?:[^"\\]|\\.)*)" | \\(.) | ([ \t\n]+) | (&&|\|\||>>|<<|\$\(|\$\{|.)""", re.VERBOSE | re.DOTALL
)
_SPECIAL = "|&;<>$`"
"""What means something to a shell outside of quotes."""
_MOST_ARMS = 1000
_PLAIN = "a command"
"""How messages call one that has no name."""


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
        for parameter, _ in self.parameters:
            if not any("{" + parameter + "}" in text for text in texts):
                raise UsageProblem(
                    f"--parameter {parameter} is used nowhere",
                    f"write {{{parameter}}} in a command where its values belong",
                )
        found = []
        for place, (name, command) in enumerate(templates):
            around = {hook: commands[place] for hook, commands in hooks.items()}
            used = [command, name or "", *(text for text in around.values() if text is not None)]
            for values in self._combinations(used):
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
        label = _PLAIN if name is None else f"--command {name}"
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
        words = split_words(text, f"{label}: ")
        if special := shell_syntax(text):
            pasted = f"imgtool bench --shell {shlex.quote(text)}" if label == _PLAIN else "add --shell"
            raise UsageProblem(
                f"{text!r} has {special!r}, which only a shell understands, and commands run without one",
                f"{pasted}; or quote it, so that the program gets it",
            )
        return words

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
        return _scanned(text)[0]
    except ValueError as error:
        raise UsageProblem(f"{label}{text!r} cannot be read: {error}", "close the quotes") from error


def shell_syntax(text: str) -> str:
    """The first part of ``text`` that would mean something to a shell: a pipe, a redirection, ``&``, ``;``, a variable,
    a substitution; empty where there is none. What is quoted, or behind a backslash, does not count.

    Raises:
        ValueError: a quote is left open.
    """
    return _scanned(text)[1]


def _scanned(text: str) -> tuple[tuple[str, ...], str]:
    """The words and the first special part of ``text``, by the rules of quoting of POSIX (Shell Command Language, 2.2).

    Not :mod:`shlex`: within double quotes it keeps the backslash of ``\\$``.
    """
    words: list[str | None] = [None]
    specials = []
    for match in _TOKENS.finditer(text):
        single, double, escaped, blank, plain = match.groups()
        if blank is not None:
            words += [None] if words[-1] is not None else []
            specials += ["\n"] if "\n" in blank else []
            continue
        if plain in ("'", '"', "\\"):
            raise ValueError(f"{plain} at its end has nothing behind it" if plain == "\\" else f"{plain} is left open")
        if double is not None:
            specials += re.findall(r"\$[({]?|`", re.sub(r"\\.", "", double, flags=re.DOTALL))
            part = re.sub(r'\\([$`"\\\n])', lambda found: found[1].strip("\n"), double)
        else:
            specials += [plain] if plain and plain[0] in _SPECIAL else []
            part = next(each for each in (single, escaped and escaped.strip("\n"), plain) if each is not None)
        words[-1] = (words[-1] or "") + part
    return tuple(word for word in words if word is not None), next(iter(specials), "")


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
            (commands if os.access(path, os.X_OK) and not _is_image(word) else images).append(word)
        elif path.is_dir():
            raise UsageProblem(f"{word} is a folder", "name images, not folders: each arm gets the same ones")
        elif path.suffix.lower() in IMAGE_SUFFIXES and len(word.split()) == 1:
            raise PathMissing(f"{word} does not exist", "name images that do, or a command: imgtool bench 'sleep 1'")
        else:
            commands.append(word)
    return tuple(images), tuple(commands)


def _is_image(path: str) -> bool:
    try:
        return sniff_file(path) is not None
    except OSError:  # a program may be one that can be run and not read
        return False


def _check_program(program: str, label: str) -> None:
    if shutil.which(program) is None:
        raise UsageProblem(
            f"{label}: there is no program {program!r}",
            "check its name and its permissions; what a shell defines needs --shell",
        )
