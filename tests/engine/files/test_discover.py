"""Discovery on real folders: files, links, loops, pipes, permissions and globs."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.distribution import install_command
from imgtool.engine.files.discover import ImageRef, RefusedPath, Rules, discover
from imgtool.errors import SourceProblem
from tests.conftest import ROOT

# The names under test are strings, as discovery takes and gives them.
# ruff: noqa: PTH100, PTH101, PTH102, PTH106, PTH107, PTH109, PTH116, PTH119, PTH211

JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 80
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 80
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 80
EVERYTHING = Rules()
HAS_HEIF = importlib.util.find_spec("pillow_heif") is not None


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths in a test are paths in its own folder."""
    monkeypatch.chdir(tmp_path)


def plant(*paths: str, content: bytes = JPEG) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)


def images(*paths: str, rules: Rules = EVERYTHING) -> list[str]:
    """The images found, where nothing is refused."""
    found = list(discover(paths, rules))
    assert [item for item in found if isinstance(item, RefusedPath)] == []
    return [item.path for item in found]


def outcome(*paths: str, rules: Rules = EVERYTHING) -> list[tuple[str, str]]:
    """Everything in the stream: the path, and ``image`` or the code of the refusal."""
    return [
        (item.path, item.problem.code if isinstance(item, RefusedPath) else "image") for item in discover(paths, rules)
    ]


def refusal(path: str) -> RefusedPath:
    (item,) = discover([path])
    assert isinstance(item, RefusedPath)
    assert item.path == path
    assert item.problem.message
    assert item.problem.remedy
    return item


# --------------------------------------------------------------------------------------------------------------------
# Named files


def test_a_named_image_comes_whatever_it_is_called() -> None:
    plant("notes.txt", ".hidden", "plain")
    assert images("notes.txt", ".hidden", "plain") == ["notes.txt", ".hidden", "plain"]


def test_a_reference_says_what_stat_says() -> None:
    plant("a.jpg")
    os.utime("a.jpg", ns=(1, 1_700_000_000_123_456_789))
    found = os.stat("a.jpg")
    assert list(discover([Path("a.jpg")])) == [
        ImageRef("a.jpg", len(JPEG), 1_700_000_000_123_456_789, found.st_ctime_ns, found.st_dev, found.st_ino)
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"Dear reader,\n", "a text file"), (b"PK\x03\x04", "zip"), (b"\x01\xfe", "unknown")],
)
def test_a_file_that_is_no_image_is_called_by_its_name(content: bytes, words: str) -> None:
    plant("a.jpg", content=content)
    problem = refusal("a.jpg").problem
    assert problem.code == "not_an_image"
    assert words in problem.message


def test_an_empty_file() -> None:
    plant("a.jpg", content=b"")
    assert refusal("a.jpg").problem.code == "empty_file"


def test_a_pipe_a_socket_and_a_device_are_never_opened() -> None:
    os.mkfifo("pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        for path, words in (("pipe.jpg", "pipe"), ("socket.jpg", "socket"), ("/dev/null", "device")):
            problem = refusal(path).problem
            assert problem.code == "not_a_file"
            assert words in problem.message


@pytest.mark.parametrize(
    ("path", "suggestion"),
    [
        ("photos/Holiday.JPG", "did you mean photos/holiday.jpg?"),
        ("photos/holidy.jpg", "did you mean photos/holiday.jpg?"),
        ("photos/holiday.jpeg", "did you mean photos/holiday.jpg?"),
        ("photo/holiday.jpg", "did you mean photos/holiday.jpg?"),
        ("photo/other.jpg", "did you mean photos?"),
        ("photos/cafe\u0301.png", "did you mean photos/caf\u00e9.png?"),
        ("photos/zebra.jpg", "photos has nothing of that name"),
        ("zoo/zebra.jpg", "there is no folder zoo"),
        ("zebra", "the current folder has nothing of that name"),
        ("", "the current folder has nothing of that name"),
    ],
)
def test_a_missing_path_names_the_nearest_one(path: str, suggestion: str) -> None:
    plant("photos/holiday.jpg", "photos/caf\u00e9.png")
    problem = refusal(path).problem
    assert problem.code == "not_found"
    assert suggestion in problem.remedy


def test_a_file_taken_for_a_folder() -> None:
    plant("a.jpg")
    for path in ("a.jpg/b.jpg", "a.jpg/"):
        problem = refusal(path).problem
        assert problem.code == "not_found"
        assert "a.jpg is no folder" in problem.message


def test_names_that_no_file_can_have() -> None:
    assert refusal("a\0b.jpg").problem.code == "not_found"
    assert "-0" in refusal("a\0b.jpg").problem.remedy
    assert refusal("x" * 300 + ".jpg").problem.code == "not_found"
    assert refusal("\ud800.jpg").problem.code == "not_found"


@pytest.mark.parametrize("thing", [None, 5, b"a.jpg", ["a.jpg"]], ids=str)
def test_what_is_no_path_raises_and_ends_nothing_silently(thing: Any) -> None:
    plant("a.jpg", "b.jpg")
    found = discover(["a.jpg", thing, "b.jpg"], EVERYTHING)
    next(found)
    with pytest.raises(SourceProblem, match=f"of type {type(thing).__name__} is no path"):
        next(found)


def test_a_path_like_of_bytes() -> None:
    plant("a.jpg")
    with os.scandir(b".") as entries:
        entry = next(entry for entry in entries if entry.name == b"a.jpg")
    assert [found.path for found in discover([entry], EVERYTHING)] == ["./a.jpg"]  # type: ignore[list-item]


def test_a_suggestion_is_printable() -> None:
    plant(os.fsdecode(b"caf\xe9\x1bm.jpg"))
    remedy = refusal("caf\x1bm.jpg").problem.remedy
    assert "caf\\xe9\\x1bm.jpg" in remedy


def test_many_missing_paths_are_not_each_compared_with_a_folder() -> None:
    plant("photo.jpg")
    remedies = [item.problem.remedy for item in discover(["phto.jpg"] * 100) if isinstance(item, RefusedPath)]
    assert len(remedies) == 100
    assert "did you mean" in remedies[0]
    assert "did you mean" not in remedies[-1]


def test_links_to_files() -> None:
    plant("real/a.jpg")
    os.symlink("real/a.jpg", "link")
    os.symlink("nowhere.jpg", "dangling.jpg")
    os.symlink("loop.jpg", "loop.jpg")
    assert images("link") == ["link"]
    assert refusal("dangling.jpg").problem.code == "not_found"
    assert "nowhere.jpg" in refusal("dangling.jpg").problem.message
    assert "itself" in refusal("loop.jpg").problem.message


def test_heif_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    plant("a.heic", "in/b", content=HEIC)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert outcome("a.heic", "in") == [("a.heic", "heif_extra_missing"), ("in/b", "heif_extra_missing")]
    assert refusal("a.heic").problem.remedy == install_command("heif")


def test_heif_is_taken_where_its_extra_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    plant("a.heic", content=HEIC)
    if not HAS_HEIF:
        plant("site/pillow_heif.py", content=b"raise RuntimeError('discovery must not import it')")
        monkeypatch.syspath_prepend("site")
    assert images("a.heic") == ["a.heic"]


# --------------------------------------------------------------------------------------------------------------------
# Folders


def test_files_and_folders_are_one_sorted_sequence() -> None:
    plant("p/b.jpg", "p/a/z.jpg", "p/a/y/x.jpg", "p/a.jpg", "p/B.jpg", "p/é.jpg", "p/c/d.jpg")
    expected = ["p/B.jpg", "p/a/y/x.jpg", "p/a/z.jpg", "p/a.jpg", "p/b.jpg", "p/c/d.jpg", "p/é.jpg"]
    assert images("p") == images("p/") == expected


def test_the_current_folder() -> None:
    plant("a.jpg", "x/b.jpg")
    assert images(".") == ["./a.jpg", "./x/b.jpg"]


def test_in_a_folder_only_what_is_an_image_or_claims_to_be_one_is_spoken_of() -> None:
    plant("p/a", "p/b.txt")
    plant("p/c.txt", "p/d.jpg", content=b"words")
    plant("p/e.txt", "p/f.PNG", content=b"")
    os.mkfifo("p/g")
    os.mkfifo("p/h.jpg")
    os.symlink("nowhere", "p/i")
    os.symlink("nowhere", "p/j.webp")
    os.symlink("k.gif", "p/k.gif")
    assert outcome("p") == [
        ("p/a", "image"),
        ("p/b.txt", "image"),
        ("p/d.jpg", "not_an_image"),
        ("p/f.PNG", "empty_file"),
        ("p/h.jpg", "not_a_file"),
        ("p/j.webp", "not_found"),
        ("p/k.gif", "not_found"),
    ]


def test_an_empty_folder_yields_nothing() -> None:
    os.mkdir("p")
    assert outcome("p") == []


def test_hidden_names_and_caches_are_passed_over() -> None:
    plant("p/a.jpg", "p/.b.jpg", "p/.c/d.jpg", "p/__pycache__/e.jpg", "p/@eaDir/f.jpg", "p/L.lrdata/g.jpg")
    plant("p/tagged/h.jpg", "p/untagged/i.jpg")
    plant("p/tagged/CACHEDIR.TAG", content=b"Signature: 8a477f597d28d172789f06886806bc55\n# a cache")
    plant("p/untagged/CACHEDIR.TAG", content=b"nothing of the kind")
    assert images("p") == ["p/a.jpg", "p/untagged/i.jpg"]
    assert images("p", rules=Rules(hidden=True)) == ["p/.b.jpg", "p/.c/d.jpg", "p/a.jpg", "p/untagged/i.jpg"]


def test_a_named_folder_is_walked_even_if_it_is_hidden_or_a_cache() -> None:
    plant("p/.c/d.jpg", "p/tagged/h.jpg")
    plant("p/tagged/CACHEDIR.TAG", content=b"Signature: 8a477f597d28d172789f06886806bc55")
    assert images("p/.c", "p/tagged") == ["p/.c/d.jpg", "p/tagged/h.jpg"]


def test_include_and_exclude() -> None:
    plant("p/a.jpg", "p/b.png", "p/raw/c.jpg", "p/x/raw/d.jpg")
    assert images("p", rules=Rules(include=("*.jpg",))) == ["p/a.jpg", "p/raw/c.jpg", "p/x/raw/d.jpg"]
    assert images("p", rules=Rules(exclude=("raw/",))) == ["p/a.jpg", "p/b.png"]
    assert images("p", rules=Rules(include=("/raw",))) == ["p/raw/c.jpg"]
    assert images("p/a.jpg", "p/b.png", rules=Rules(exclude=("b.*",))) == ["p/a.jpg"]


def test_names_that_are_no_utf8() -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    plant(f"p/{name}", "p/z.jpg")
    assert sorted(map(os.fsencode, images("p"))) == [b"p/caf\xe9.jpg", b"p/z.jpg"]
    assert images(f"p/{name}") == [f"p/{name}"]


def test_a_tree_deeper_than_the_recursion_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    depth = 1_100
    # Not in pytest's folder: what removes that, and what removes a TemporaryDirectory, recurses.
    root = tempfile.mkdtemp()
    try:
        monkeypatch.chdir(root)
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        plant("a.jpg")
        os.chdir(root)
        assert images("d") == ["d/" * depth + "a.jpg"]
    finally:
        subprocess.run(["rm", "-r", root], check=True)


def test_a_file_deleted_between_listing_and_reading_is_refused() -> None:
    plant("p/a.jpg", "p/b.jpg", "p/c.txt", "p/d/e.jpg", "p/f.jpg")
    stream = discover(["p"])
    next(stream)
    for path in ("p/b.jpg", "p/c.txt"):
        os.remove(path)
    rest = [(item.path, isinstance(item, RefusedPath)) for item in stream]
    assert rest == [("p/b.jpg", True), ("p/d/e.jpg", False), ("p/f.jpg", False)]


def test_a_folder_deleted_in_mid_walk_is_refused() -> None:
    plant("p/a.jpg", "p/b/c.jpg", "p/d.jpg")
    stream = discover(["p"])
    next(stream)
    os.remove("p/b/c.jpg")
    os.rmdir("p/b")
    assert [(item.path, isinstance(item, RefusedPath)) for item in stream] == [("p/b", True), ("p/d.jpg", False)]


def test_the_stream_is_lazy() -> None:
    plant("p/a.jpg")

    def arguments() -> Iterator[str]:
        yield "p"
        raise AssertionError("the next argument was asked for before the first was used up")

    stream = discover(arguments())
    assert isinstance(next(stream), ImageRef)
    with pytest.raises(AssertionError):
        next(stream)


# --------------------------------------------------------------------------------------------------------------------
# The same file by several ways


def test_overlapping_arguments_yield_a_file_once() -> None:
    plant("p/a.jpg", "p/x/b.jpg")
    both = ["p/a.jpg", "p/x/b.jpg"]
    here = os.getcwd()
    assert images("p", "p/a.jpg", "p/x", "p/", "./p/../p/a.jpg", f"{here}/p") == both
    assert images("p/a.jpg", "p/a.jpg", "p") == both
    assert images("p/x", "p") == ["p/x/b.jpg", "p/a.jpg"]
    assert images("p", "p/*.jpg", "p/**/*.jpg") == both
    assert images("p/*.jpg", "p") == both


def test_a_folder_below_two_roots_loses_nothing_to_globs_that_mean_different_paths() -> None:
    plant("p/x/a.jpg", "p/x/b.png", "p/y/c.jpg")
    assert images("p/x", "p", rules=Rules(include=("x/*.jpg",))) == ["p/x/a.jpg"]
    assert images("p/x", "p", rules=Rules(include=("x", "b.png"))) == ["p/x/b.png", "p/x/a.jpg"]
    assert images("p/x", "p", rules=Rules(exclude=("/a.jpg",))) == ["p/x/b.png", "p/x/a.jpg", "p/y/c.jpg"]


def test_a_named_file_that_a_walk_passed_over_is_still_answered_for() -> None:
    plant("p/a.jpg", "p/.b.jpg")
    plant("p/notes.txt", "p/fake.jpg", content=b"words")
    assert outcome("p", "p/notes.txt", "p/.b.jpg", "p/fake.jpg", "p/notes.txt") == [
        ("p/a.jpg", "image"),
        ("p/fake.jpg", "not_an_image"),
        ("p/notes.txt", "not_an_image"),
        ("p/.b.jpg", "image"),
    ]
    os.remove("p/fake.jpg")
    assert images("p/.b.jpg", "p") == ["p/.b.jpg", "p/a.jpg"]


def test_copies_and_hard_links_both_come() -> None:
    plant("p/a.jpg", "p/copy.jpg")
    os.link("p/a.jpg", "p/hard.jpg")
    assert images("p") == ["p/a.jpg", "p/copy.jpg", "p/hard.jpg"]


def test_a_link_to_a_file_that_comes_anyway_adds_nothing() -> None:
    plant("p/m.jpg", "q/n.jpg", "outside/o.jpg")
    os.symlink("m.jpg", "p/a.jpg")
    os.symlink("../q/n.jpg", "p/b.jpg")
    os.symlink("../outside/o.jpg", "p/c.jpg")
    os.symlink("../outside/o.jpg", "p/d.jpg")
    assert images("p", "q") == ["p/b.jpg", "p/c.jpg", "p/m.jpg"]


def test_a_link_is_judged_by_its_own_name_too() -> None:
    plant("p/words", content=b"words")
    os.symlink("words", "p/a.jpg")
    os.symlink("words", "p/b")
    assert outcome("p") == [("p/a.jpg", "not_an_image")]


def test_links_to_folders_are_followed_once() -> None:
    plant("elsewhere/a.jpg", "p/z/b.jpg")
    os.symlink("../elsewhere", "p/link")
    os.symlink("../elsewhere", "p/other")
    os.symlink("z", "p/y")
    assert images("p") == ["p/link/a.jpg", "p/y/b.jpg"]


def test_loops_end() -> None:
    plant("p/a.jpg", "p/x/b.jpg")
    os.symlink(".", "p/self")
    os.symlink("../..", "p/x/up")
    assert images("p") == ["p/a.jpg", "p/x/b.jpg"]
    assert images("p/**/*.jpg") == ["p/a.jpg", "p/x/b.jpg"]
    assert images("p/*/*/*.jpg") == ["p/self/self/a.jpg", "p/self/x/b.jpg"]
    assert images("p", rules=Rules(include=("self/x/*.jpg",))) == ["p/self/x/b.jpg"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), max_size=6), st.permutations("abcd"))
def test_however_folders_link_every_file_comes_once(links: list[tuple[str, str]], order: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        for folder in "abcd":
            plant(f"{root}/{folder}/{folder}.jpg")
        for number, (start, end) in enumerate(links):
            os.symlink(f"../{end}", f"{root}/{start}/{number}")
        found = images(*(f"{root}/{folder}" for folder in order))
        assert sorted(os.path.basename(path) for path in found) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


# --------------------------------------------------------------------------------------------------------------------
# Globs


def test_globs_are_expanded_in_order() -> None:
    plant("p/b.jpg", "p/a.jpg", "p/c.png", "p/x/d.jpg", "p/x/y/e.jpg", "p/.h.jpg", "f.jpg")
    assert images("*.jpg") == ["f.jpg"]
    assert images("p/*.jpg") == images("p/[ab].jpg") == images("p/?.jpg") == ["p/a.jpg", "p/b.jpg"]
    assert images("p/**/*.jpg") == ["p/a.jpg", "p/b.jpg", "p/x/d.jpg", "p/x/y/e.jpg"]
    assert images("p/**/e.jpg") == images("**/y/*") == images("p/*/*/e.jpg") == ["p/x/y/e.jpg"]
    assert images(f"{os.getcwd()}/*.jpg") == [f"{os.getcwd()}/f.jpg"]
    assert images("p/.*.jpg") == ["p/.h.jpg"]
    assert images("./*.jpg") == ["./f.jpg"]


def test_a_glob_that_matches_folders_walks_them() -> None:
    plant("p-1/a.jpg", "p-2/x/b.jpg", "q/c.jpg", "p-file.jpg")
    assert images("p-*") == ["p-1/a.jpg", "p-2/x/b.jpg", "p-file.jpg"]
    assert images("p-*/") == ["p-1/a.jpg", "p-2/x/b.jpg"]


def test_a_glob_passes_over_what_is_no_image() -> None:
    plant("p/a.jpg")
    plant("p/b.txt", content=b"words")
    assert images("p/*") == ["p/a.jpg"]
    assert outcome("p/*.txt") == []


@pytest.mark.parametrize("glob", ["*.gif", "nowhere/*.jpg", "p/?", "p/**/z.jpg", "[x", "p/a.jpg/*"])
def test_a_glob_that_matches_nothing_is_refused(glob: str) -> None:
    plant("p/a.jpg")
    problem = refusal(glob).problem
    assert problem.code == "no_match"
    assert glob in problem.message


def test_rules_hold_for_globs_too() -> None:
    plant("p/a.jpg", "p/b.jpg")
    assert images("p/*.jpg", rules=Rules(exclude=("b.*",))) == ["p/a.jpg"]


def test_a_name_that_really_exists_is_no_glob() -> None:
    plant("a[1].jpg", "a1.jpg", "b[2]/c.jpg", "b2/d.jpg")
    assert images("a[1].jpg") == ["a[1].jpg"]
    assert images("b[2]") == ["b[2]/c.jpg"]
    assert images("b[2]/*.jpg") == ["b[2]/c.jpg"]
    os.remove("a[1].jpg")
    assert images("a[1].jpg") == ["a1.jpg"]


# --------------------------------------------------------------------------------------------------------------------
# Permissions, opens, imports: things that only another process can show

WITHOUT_PRIVILEGE = """
import os, sys
from imgtool.engine.files.discover import RefusedPath, discover
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for item in discover(sys.argv[1:]):
    said = item.problem.code + " " + item.problem.remedy if isinstance(item, RefusedPath) else "image"
    print(item.path, said, sep="|")
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, as pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def unprivileged(folder: Path, *paths: str) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PRIVILEGE, *paths],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return [line.split("|") for line in done.stdout.splitlines()]


def test_what_may_not_be_read_is_refused_and_the_rest_goes_on(open_folder: Path) -> None:
    os.chdir(open_folder)
    plant("p/a.jpg", "p/closed/b.jpg", "p/locked.jpg", "p/locked.dat", "p/sealed/c.jpg", "p/sealed/d/e.jpg", "p/z.jpg")
    os.symlink("sealed/d", "p/way")
    modes = {"p/closed": 0, "p/locked.jpg": 0, "p/locked.dat": 0, "p/sealed": 0o444}
    for path, mode in modes.items():
        os.chmod(path, mode)
    try:
        lines = unprivileged(open_folder, "p", "p/locked.dat", "p/closed/b.jpg")
    finally:
        for path in modes:
            os.chmod(path, 0o755)
    remedies = {path: said for path, said in lines if said != "image"}
    assert [path for path, said in lines if said == "image"] == ["p/a.jpg", "p/z.jpg"]
    assert all(said.startswith("permission_denied") for said in remedies.values())
    assert "chmod u+rx" in remedies["p/closed"]
    assert "chmod u+r," in remedies["p/locked.jpg"]
    assert "chmod u+r," in remedies["p/locked.dat"]
    assert "owner of p/closed, " in remedies["p/closed/b.jpg"]
    assert "owner of p/sealed, " in remedies["p/sealed/c.jpg"]
    assert "owner of p/sealed, " in remedies["p/sealed/d"]
    assert "owner of" in remedies["p/way"]
    assert len(remedies) == 7


COUNT_OPENS = """
import os, sys
from imgtool.engine.files.discover import discover
from tests.conftest import ROOT
opened = []
sys.addaudithook(lambda event, given: opened.append(given[0]) if event == "open" else None)
inodes = {os.stat(path).st_ino for path in sys.argv[2:]}
found = [item.path for item in discover([sys.argv[1]], is_known_image=lambda found: found.st_ino in inodes)]
print(sorted(found), sorted(opened))
"""


def test_a_known_image_is_not_opened() -> None:
    plant("p/a.jpg", "p/b.jpg")
    plant("p/c.jpg", content=b"what the index says is believed")
    done = subprocess.run(
        [sys.executable, "-c", COUNT_OPENS, "p", "p/a.jpg", "p/c.jpg"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip() == "['p/a.jpg', 'p/b.jpg', 'p/c.jpg'] ['p/b.jpg']"


def test_what_no_shell_has_expanded_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", os.path.abspath("home"))
    plant("home/h.jpg", "p/a.jpg", "p/b.jpg", "p/x*y.jpg", "p/xzy.jpg", "p/{c,d}.jpg", "p/c.jpg")
    home = os.path.abspath("home/h.jpg")
    assert images("~/h.jpg", "~/*.jpg") == [home]
    assert images("p/{b,a}.jpg") == ["p/b.jpg", "p/a.jpg"]
    assert images("{p/[a-c],home/?}.jpg") == ["p/a.jpg", "p/b.jpg", "p/c.jpg", "home/h.jpg"]
    assert images(r"p/x\*y.jpg") == ["p/x*y.jpg"]
    assert images(r"p/x\*[y].jpg") == ["p/x*y.jpg"]
    assert images("p/{c,d}.jpg") == ["p/{c,d}.jpg"], "a name that exists is no pattern"
    assert outcome("p/{a,gone}.jpg") == [("p/a.jpg", "image"), ("p/gone.jpg", "not_found")]
    assert outcome("p/*.JPG") == [("p/*.JPG", "no_match")], "case counts, as in a shell"


def test_a_path_as_results_write_it_opens_the_file() -> None:
    name = os.fsdecode(b"p/caf\xe9.jpg")
    plant(name, "p/a.jpg")
    assert images("p/caf\\xe9.jpg") == [name]
    assert images("file://" + os.path.abspath("p") + "/caf%E9.jpg") == [os.path.abspath(name)]


@pytest.mark.parametrize(
    ("address", "message", "remedy"),
    [
        ("https://example.org/a.jpg", "URL", "curl -O https://example.org/a.jpg"),
        ("s3://bucket/*.jpg", "URL", "download"),
        ("file:///no/such/a%20b.jpg", "/no/such/a b.jpg", "spelling"),
    ],
)
def test_addresses_have_their_own_message(address: str, message: str, remedy: str) -> None:
    problem = refusal(address).problem
    assert message in problem.message
    assert remedy in problem.remedy
