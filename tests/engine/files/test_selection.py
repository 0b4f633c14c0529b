"""Include and exclude globs: what they mean, and that a walk may trust them when it does not enter a folder."""

from __future__ import annotations

import re
from fnmatch import translate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.engine.files.selection import GlobSet, Rules, Selection, is_glob


def taken(selection: Selection, path: str) -> bool:
    """Whether a walk that meets ``path`` (relative to its root) takes it: every folder entered, then the file."""
    *folders, name = path.split("/")
    position = selection.start
    for folder in folders:
        below = selection.enter(position, folder)
        if below is None:
            return False
        position = below
    return selection.takes(position, name)


@pytest.mark.parametrize(
    ("glob", "matching", "other"),
    [
        ("*.jpg", ["a.jpg", "x/a.jpg", "x/y/a.jpg", "x.jpg/b.png"], ["a.JPG", "a.jpg.bak", "x/ajpg"]),
        ("/*.jpg", ["a.jpg"], ["x/a.jpg"]),
        ("raw", ["raw", "raw/a.jpg", "x/raw/y/a.jpg"], ["rawer/a.jpg", "x/raw.jpg"]),
        ("raw/", ["raw/a.jpg", "x/raw/y/a.jpg"], ["raw", "x/raw"]),
        ("/raw", ["raw/a.jpg"], ["x/raw/a.jpg"]),
        ("x/raw", ["x/raw", "x/raw/a.jpg"], ["y/x/raw/a.jpg", "x/y/raw"]),
        ("x/*/a.jpg", ["x/y/a.jpg"], ["x/a.jpg", "x/y/z/a.jpg"]),
        ("**/a.jpg", ["a.jpg", "x/a.jpg", "x/y/a.jpg"], ["x/b.jpg"]),
        ("x/**/a.jpg", ["x/a.jpg", "x/y/a.jpg", "x/y/z/a.jpg"], ["a.jpg", "y/x/a.jpg"]),
        ("x/**", ["x/a.jpg", "x/y/a.jpg"], ["x", "y/a.jpg"]),
        ("**", ["a.jpg", "x/y/a.jpg"], []),
        ("x/**/**/a.jpg", ["x/a.jpg", "x/y/a.jpg"], ["a.jpg"]),
        ("./x/*.jpg", ["x/a.jpg"], ["a.jpg"]),
        ("IMG_[0-9]?.png", ["IMG_1a.png"], ["IMG_a1.png", "IMG_1.png"]),
        ("[!a]*", ["b.jpg", "b/c.jpg"], ["a.jpg"]),
        ("a[*]b", ["a*b"], ["axb"]),
        ("a*b*c*d*e*f*g*h", ["abcdefgh"], ["abcdefg" * 30]),
        ("*.jpg", ["a\nb.jpg", "a\udcff.jpg"], []),
    ],
)
def test_globs(glob: str, matching: list[str], other: list[str]) -> None:
    include, exclude = Selection(Rules(include=(glob,))), Selection(Rules(exclude=(glob,)))
    for path in matching:
        assert taken(include, path), path
        assert not taken(exclude, path), path
    for path in other:
        assert not taken(include, path), path
        assert taken(exclude, path), path


def test_exclude_goes_before_include() -> None:
    selection = Selection(Rules(include=("*.jpg", "*.png"), exclude=("*_small.*",)))
    assert taken(selection, "x/a.png")
    assert not taken(selection, "x/a_small.png")
    assert not taken(selection, "a.gif")


def test_empty_globs_say_nothing() -> None:
    assert taken(Selection(Rules(include=("",), exclude=("",))), "x/a.jpg")


def test_hidden_names_are_taken_only_when_asked_for() -> None:
    for path in (".a.jpg", ".x/a.jpg", "x/.y/a.jpg"):
        assert not taken(Selection(Rules()), path)
        assert not taken(Selection(Rules(include=("*.jpg",))), path)
        assert taken(Selection(Rules(hidden=True)), path)


@pytest.mark.parametrize("folder", ["__pycache__", "node_modules", "@eaDir", ".git", "Photos.lrdata"])
def test_caches_are_passed_over_even_among_hidden_names(folder: str) -> None:
    assert not taken(Selection(Rules(hidden=True)), f"x/{folder}/a.jpg")


def test_a_glob_of_its_own_counts_from_the_root_and_takes_hidden_names_that_it_spells_out() -> None:
    assert taken(Selection(Rules(), "*.jpg"), "a.jpg")
    assert not taken(Selection(Rules(), "*.jpg"), "x/a.jpg")
    assert not taken(Selection(Rules(), "*.jpg"), ".a.jpg")
    assert taken(Selection(Rules(), ".*.jpg"), ".a.jpg")
    assert not taken(Selection(Rules(exclude=("a.*",)), "*.jpg"), "a.jpg")


def test_folders_that_hold_nothing_wanted_are_not_entered() -> None:
    only_top = Selection(Rules(include=("/*.jpg",)))
    assert only_top.enter(only_top.start, "x") is None
    without_raw = Selection(Rules(exclude=("raw/",)))
    assert without_raw.enter(without_raw.start, "raw") is None
    assert without_raw.enter(without_raw.start, "rare") is not None


NAMES = st.text("ab.", min_size=1, max_size=3).filter(lambda name: not name.startswith("."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PARTS = st.one_of(st.just("**"), st.text("ab.*?", min_size=1, max_size=3)).filter(lambda part: part not in (".", ".."))
GLOBS = st.builds(
    lambda lead, parts, trail: lead + "/".join(parts) + trail,
    st.sampled_from(["", "/"]),
    st.lists(PARTS, min_size=1, max_size=4),
    st.sampled_from(["", "/"]),
)


def as_one_expression(glob: str) -> re.Pattern[str]:
    """The documented meaning, written a second time as a regular expression over the whole path."""
    body = glob.strip("/")
    parts = body.split("/")
    if "/" not in glob.rstrip("/"):
        parts.insert(0, "**")
    if parts[-1] == "**":
        parts.append("*")
    text = ""
    for part in parts[:-1]:
        text += "(?:[^/]+/)*" if part == "**" else _within_a_name(part) + "/"
    text += _within_a_name(parts[-1]) + ("/.+" if glob.endswith("/") else "(?:/.+)?")
    return re.compile(text)


def _within_a_name(part: str) -> str:
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(letter, re.escape(letter)) for letter in part)


@given(GLOBS, PATHS)
def test_the_automaton_agrees_with_a_regular_expression(glob: str, path: str) -> None:
    expected = as_one_expression(glob).fullmatch(path) is not None
    assert taken(Selection(Rules(include=(glob,))), path) == expected
    assert taken(Selection(Rules(exclude=(glob,))), path) != expected


@given(st.lists(GLOBS, max_size=4), PATHS)
def test_a_set_matches_where_one_of_its_globs_does(globs: list[str], path: str) -> None:
    excluded = not taken(Selection(Rules(exclude=tuple(globs))), path)
    assert excluded == any(not taken(Selection(Rules(exclude=(glob,))), path) for glob in globs)


@given(st.text("ab[]!-*?.", min_size=1, max_size=8), NAMES)
def test_within_a_name_globs_are_those_of_fnmatch(glob: str, name: str) -> None:
    if glob in (".", "**"):
        return
    globs = GlobSet([f"/{glob}"])
    state = globs.step(globs.start, name, folder=False)
    assert (0 in state) == (re.match(translate(glob), name) is not None)


def test_what_is_a_glob() -> None:
    assert all(map(is_glob, ("*.jpg", "a?.jpg", "[ab].jpg", "x/**/y")))
    assert not any(map(is_glob, ("a.jpg", "x/y", "a]b", "{a,b}.jpg", "")))
