"""Commands as they are typed: words, shell syntax, parameters, preparations, and what is an image."""

from __future__ import annotations

import random
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from imgtool.bench.arms.commands import CommandRequest, filled, parse_parameter, shell_syntax, sort_words, split_words
from imgtool.errors import PathMissing, UsageProblem
from tests.pictures import flat


def names(request: CommandRequest) -> list[str]:
    return [arm.name for arm in request.arms()]


@pytest.mark.parametrize(
    "text, special",
    [
        ("echo a | cat", "|"),
        ("echo a > file", ">"),
        ("echo a >> file", ">>"),
        ("wc < file", "<"),
        ("true && false", "&&"),
        ("true || false", "||"),
        ("true; false", ";"),
        ("sleep 1 &", "&"),
        ("echo $(date)", "$("),
        ('echo "$(date)"', "$("),
        ("echo `date`", "`"),
        ("echo $HOME", "$"),
        ('echo "$HOME"', "$"),
        ("echo 'a'|cat", "|"),
        ("echo a\necho b", "\n"),
    ],
)
def test_what_needs_a_shell_is_refused_with_a_command_that_works(text: str, special: str) -> None:
    with pytest.raises(UsageProblem) as refused:
        CommandRequest(plain=(text,)).arms()
    assert repr(special) in str(refused.value)
    pasted = shlex.split(refused.value.remedy.split("; or ")[0])
    assert pasted == ["imgtool", "bench", "--shell", text]
    (arm,) = CommandRequest(plain=(text,), shell=True).arms()
    assert arm.command == ("/bin/sh", "-c", text)
    assert arm.shell


@pytest.mark.parametrize(
    "text",
    ["echo 'a | b'", 'echo "a > b"', r"echo a\|b", "awk '{print $1}'", r'echo "\$HOME \a"', "ls *.png", "echo a#b ''"],
)
def test_what_is_quoted_needs_none(text: str) -> None:
    assert shell_syntax(text) == ""


def test_words_are_those_of_the_shell() -> None:
    """Of strings drawn from what quoting is about; those that need a shell, or that no shell can read, have none."""
    generator = random.Random(3)
    asked: list[str] = []
    for _ in range(6000):
        text = "".join(
            generator.choices("ab$`\"'\\ |", weights=(4, 4, 1, 1, 3, 3, 3, 4, 1), k=generator.randint(1, 10))
        )
        try:
            if shell_syntax(text):
                continue
        except ValueError:
            continue
        asked.append(text)
    script = "\n".join(f"printf '%s\\0' {text}; printf '\\n'" for text in asked)
    shown = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True).stdout.decode()
    assert len(asked) > 1000
    for text, line in zip(asked, shown.split("\n"), strict=False):
        assert list(split_words(text)) == line.split("\0")[:-1] if split_words(text) else [""], text


def test_every_combination_of_parameters_is_an_arm() -> None:
    found = CommandRequest(
        plain=("echo {a} {b}", "echo {b}", "echo {c}"), parameters=(("a", ("1", "2")), ("b", ("x y", "z")))
    ).arms()
    assert [arm.name for arm in found] == [
        "echo 1 x y", "echo 1 z", "echo 2 x y", "echo 2 z", "echo x y", "echo z", "echo {c}",
    ]  # fmt: skip
    assert found[0].command == ("echo", "1", "x", "y")
    assert found[0].parameters == {"a": "1", "b": "x y"}
    assert found[-1].parameters == {}


def test_named_commands_say_their_parameters() -> None:
    values = (("n", ("1", "2")),)
    assert names(CommandRequest(named=("wait=sleep {n}",), parameters=values)) == ["wait n=1", "wait n=2"]
    assert names(CommandRequest(named=("wait{n}=sleep {n}",), parameters=values)) == ["wait1", "wait2"]


def test_a_parameter_of_a_preparation_alone_makes_arms_too() -> None:
    found = CommandRequest(plain=("cat",), setup=("touch {n}",), parameters=(("n", ("1", "2")),)).arms()
    assert [arm.setup for arm in found] == [("touch", "1"), ("touch", "2")]


@pytest.mark.parametrize(
    "text, values",
    [
        ("n=1,2", ("n", ("1", "2"))),
        ("a_b=", ("a_b", ("",))),
        (r"x=a\,b,c", ("x", ("a,b", "c"))),
        ("f=-O2,-x y=1", ("f", ("-O2", "-x y=1"))),
    ],
)
def test_parameters_are_read(text: str, values: object) -> None:
    assert parse_parameter(text) == values


@pytest.mark.parametrize("text", ["n", "=1", "a b=1", "n=1,1"])
def test_parameters_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as|twice"):
        parse_parameter(text)


def test_braces_that_are_no_parameter_stay() -> None:
    assert filled("a {b} {n} {}", {"n": "{b}"}) == "a {b} {b} {}"


@pytest.mark.parametrize(
    "request_, said",
    [
        (CommandRequest(plain=("there-is-none",)), "there is no program 'there-is-none'"),
        (CommandRequest(plain=("",)), "names no program"),
        (CommandRequest(plain=("echo 'a",)), "close the quotes|cannot be read"),
        (CommandRequest(named=("echo a",)), "NAME=WORDS"),
        (CommandRequest(plain=("echo",), parameters=(("n", ("1",)),)), "--parameter n is used nowhere"),
        (CommandRequest(plain=("echo", "cat", "ls"), prepare=("true", "true")), "2 times for 3 commands"),
        (CommandRequest(setup=("true",)), "--setup is about a command"),
        (CommandRequest(plain=("echo",), prepare=("sync | cat",)), "a shell understands"),
    ],
)
def test_commands_that_cannot_be_read(request_: CommandRequest, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        request_.arms()


def test_a_program_that_a_setup_makes_need_not_be_there_yet() -> None:
    (arm,) = CommandRequest(plain=("./made",), setup=("touch made",)).arms()
    assert (arm.command, arm.setup) == (("./made",), ("touch", "made"))


def test_preparations_are_one_for_all_or_one_for_each() -> None:
    both = CommandRequest(plain=("echo", "cat"), prepare=("sync",), cleanup=("true", "false")).arms()
    assert [(arm.prepare, arm.cleanup) for arm in both] == [(("sync",), ("true",)), (("sync",), ("false",))]


def test_files_are_images_and_programs_are_commands(tmp_path: Path) -> None:
    picture, script, photo = (
        flat(tmp_path / "a.png"),
        tmp_path / "run me",
        flat(tmp_path / "photo.jpg").rename(tmp_path / "photo"),
    )
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    photo.chmod(0o755)  # as all files are on some mounted disks
    given = [str(picture), str(script), str(photo), "sleep 1", sys.executable]
    assert sort_words(given) == ((str(picture), str(photo)), (str(script), "sleep 1", sys.executable))
    with pytest.raises(PathMissing, match=r"gone\.png does not exist"):
        sort_words(["gone.png"])
    with pytest.raises(UsageProblem, match="is a folder"):
        sort_words([str(tmp_path)])
