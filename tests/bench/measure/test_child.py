"""Functions asked in fresh processes: answers, errors, crashes, hangs, noise."""

from __future__ import annotations

import os
import time

import msgspec
import pytest

from imgtool.bench.measure.child import ChildFailed, ask
from imgtool.errors import ExitCode, NoImages


class Question(msgspec.Struct):
    what: str


class Reply(msgspec.Struct):
    said: str
    pid: int


def reply(question: Question) -> Reply:
    print("noise on stdout", flush=True)
    os.write(1, b"noise on descriptor 1\n")
    if question.what == "fail":
        raise NoImages("nothing here", "look elsewhere")
    if question.what == "raise":
        raise ZeroDivisionError("planted")
    if question.what == "crash":
        os.abort()
    if question.what == "hang":
        time.sleep(60)
    return Reply(question.what, os.getpid())


def asked(what: str, timeout: float = 30) -> Reply:
    return ask(reply, Question(what), Reply, timeout=timeout)


def test_answers_from_another_process_whatever_it_prints() -> None:
    found = asked("yes")
    assert found.said == "yes"
    assert found.pid != os.getpid()


def test_an_error_with_a_message_keeps_it() -> None:
    with pytest.raises(ChildFailed, match="nothing here") as caught:
        asked("fail")
    assert (caught.value.remedy, caught.value.exit_code) == ("look elsewhere", ExitCode.NONE_ANSWERED)


@pytest.mark.parametrize(("what", "said"), [("raise", "ZeroDivisionError: planted"), ("crash", "SIGABRT")])
def test_a_crash_says_how_and_shows_the_last_words(what: str, said: str) -> None:
    with pytest.raises(ChildFailed, match=said):
        asked(what)


def test_a_hang_is_ended() -> None:
    with pytest.raises(ChildFailed, match="did not finish within 1 s"):
        asked("hang", timeout=1)
