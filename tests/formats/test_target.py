"""Where the output goes: whole or not at all, refused before the run where it cannot be, quiet where nobody reads."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import pty
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgtool.errors import ExitCode, OutputNotWritable, UsageProblem
from imgtool.formats.interface import open_writer
from imgtool.formats.sink import ReaderGone
from imgtool.formats.target import Target, guess_format, unlike_its_name
from imgtool.options import OutputFormat
from tests.results import answered

CSV, JSON, JSONL, PARQUET, TABLE = (OutputFormat(name) for name in ("csv", "json", "jsonl", "parquet", "table"))

NOBODY = 65534

# Writes table blocks to stdout until told otherwise, and says on stderr how that ended.
ENDLESS = """
import sys
from imgtool.options import OutputFormat
from imgtool.formats.interface import open_writer
from imgtool.formats.sink import ReaderGone
from imgtool.formats.target import Target
from tests.results import answered
format = OutputFormat(sys.argv[1])
target = Target(None, format)
try:
    with target:
        writer = open_writer(format, target.stream)
        for _ in range(100_000):
            writer.write(answered("a.png"))
except ReaderGone:
    print("gone", target.closed, file=sys.stderr)
"""

ONE_RESULT = """
import sys
from pathlib import Path
from imgtool.options import OutputFormat
from imgtool.errors import ImgtoolError
from imgtool.formats.interface import open_writer
from imgtool.formats.target import Target
from tests.results import answered
format = OutputFormat(sys.argv[2])
try:
    with Target(Path(sys.argv[1]), format) as target:
        writer = open_writer(format, target.stream)
        writer.write(answered("a.png"))
        writer.close({})
except ImgtoolError as error:
    print(error, error.remedy, sep="; ", file=sys.stderr)
    sys.exit(error.exit_code)
"""


def python(code: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True, check=False, **options
    )


def put(path: Path, content: str, format: OutputFormat = CSV) -> None:
    with Target(path, format) as target:
        target.stream.write(content)


@contextlib.contextmanager
def unprivileged() -> Iterator[Path]:
    """A folder that anybody may enter, and a user who is not allowed everything; works for root and for others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    root = os.geteuid() == 0
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def drop_privileges() -> None:
    if os.geteuid() == 0:
        os.seteuid(NOBODY)


# --------------------------------------------------------------------------------------------------------------------
# Whole or not at all


def test_a_file_appears_at_the_end_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with Target(path, CSV) as target:
        target.stream.write("half")
        target.stream.flush()
        assert not path.exists()
        target.stream.write(" and half\r\n")
    assert path.read_bytes() == b"half and half\r\n"
    assert [entry for entry in tmp_path.iterdir() if entry.is_file()] == [path]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_after_a_failure_the_former_file_stays_and_nothing_else(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "out.csv"
    path.write_text("former")
    with pytest.raises(failure), Target(path, CSV) as target:
        target.stream.write("new")
        raise failure
    assert path.read_text() == "former"
    assert [entry for entry in tmp_path.iterdir() if entry.is_file()] == [path]


@pytest.mark.parametrize("format", [PARQUET, JSON])
def test_an_unfinished_document_leaves_nothing_and_raises_nothing_more(tmp_path: Path, format: OutputFormat) -> None:
    path = tmp_path / "out"
    with pytest.raises(RuntimeError), Target(path, format) as target:
        writer = open_writer(format, target.stream)
        writer.write(answered())
        raise RuntimeError
    # Collected after the stream was closed; an exception in a finaliser fails the test.
    del writer
    gc.collect()
    assert not [entry for entry in tmp_path.iterdir() if entry.is_file()]


def test_json_lines_can_be_followed_and_survive_an_interruption(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt), Target(path, JSONL) as target:
        open_writer(JSONL, target.stream).write(answered("first.png"))
        target.stream.flush()
        assert "first.png" in path.read_text()
        raise KeyboardInterrupt
    assert "first.png" in path.read_text()


def test_json_lines_replace_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("a much longer former content\n")
    put(path, "{}\n", JSONL)
    assert path.read_text() == "{}\n"


@pytest.mark.parametrize("format", [CSV, JSONL])
def test_a_new_file_has_the_permissions_that_the_user_wants_for_new_files(tmp_path: Path, format: OutputFormat) -> None:
    former = os.umask(0o027)
    try:
        put(tmp_path / "out", "x", format)
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("former")
    path.chmod(0o604)
    put(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o604)


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("format", [CSV, JSONL])
def test_a_symbolic_link_stays_one(tmp_path: Path, format: OutputFormat, existing: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "real"
    if existing:
        real.write_text("former")
    link = tmp_path / "link"
    link.symlink_to(real)
    put(link, "new", format)
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_the_home_folder_can_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    put(Path("~/out.csv"), "x")
    assert (tmp_path / "out.csv").read_text() == "x"


def test_complete_output_that_cannot_be_moved_is_kept_and_named(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with pytest.raises(OutputNotWritable) as caught, Target(path, CSV) as target:
        target.stream.write("hours of work")
        path.mkdir()  # somebody else, meanwhile
    (kept,) = (entry for entry in tmp_path.iterdir() if entry.suffix == ".complete")
    assert kept.read_text() == "hours of work"
    assert str(kept) in caught.value.remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("format", [CSV, JSONL])
def test_a_file_that_cannot_be_replaced_is_overwritten(format: OutputFormat) -> None:
    with unprivileged() as folder:
        path = folder / "out"
        path.write_text("a much longer former content")
        path.chmod(0o666)
        folder.chmod(0o1777)
        drop_privileges()
        put(path, "new", format)
        assert (path.read_text(), [entry.name for entry in folder.iterdir()]) == ("new", ["out"])


# --------------------------------------------------------------------------------------------------------------------
# Refused, before the run


def refusal(path: Path, format: OutputFormat = CSV) -> tuple[str, str]:
    target = Target(path, format)
    with pytest.raises(OutputNotWritable) as caught:
        target.__enter__()
    assert caught.value.exit_code is ExitCode.NOT_WRITABLE
    assert str(path) in str(caught.value)
    return str(caught.value).rpartition(": ")[2], caught.value.remedy


@pytest.mark.parametrize("format", [CSV, JSONL])
def test_a_missing_folder(tmp_path: Path, format: OutputFormat) -> None:
    cause, remedy = refusal(tmp_path / "none" / "out", format)
    assert (cause, "make the folder" in remedy) == ("its folder does not exist", True)


@pytest.mark.parametrize("format", [CSV, JSONL])
def test_a_folder_in_place_of_a_file(tmp_path: Path, format: OutputFormat) -> None:
    cause, remedy = refusal(tmp_path, format)
    assert (cause, "name a file in it" in remedy) == ("it is a folder", True)


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / "file" / "out")[0] == "a part of its path is a file, not a folder"


def test_a_name_too_long(tmp_path: Path) -> None:
    assert refusal(tmp_path / ("x" * 300))[0] == "its name is too long"


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert refusal(tmp_path / "a")[0] == "its symbolic links lead in a circle"


@pytest.mark.parametrize("format", [CSV, JSONL])
def test_a_folder_that_may_not_be_written(format: OutputFormat) -> None:
    with unprivileged() as folder:
        folder.chmod(0o555)
        drop_privileges()
        cause, remedy = refusal(folder / "out", format)
    assert (cause, "permissions" in remedy) == ("permission denied", True)


def test_a_read_only_file_is_not_replaced_though_its_folder_may_be_written() -> None:
    with unprivileged() as folder:
        (folder / "out").write_text("former")
        (folder / "out").chmod(0o444)
        folder.chmod(0o777)
        drop_privileges()
        assert refusal(folder / "out")[0] == "permission denied"
        assert [entry.name for entry in folder.iterdir()] == ["out"]


def test_a_descriptor_that_is_not_open() -> None:
    assert refusal(Path("/dev/fd/987"))[0] == "it is closed"


def test_a_closed_stdout() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", ONE_RESULT, "-", "csv"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.stderr == "stdout cannot be written: it is closed; open it, or name a file with -o\n"
    assert done.returncode == ExitCode.NOT_WRITABLE


# --------------------------------------------------------------------------------------------------------------------
# During the run


def test_a_full_device_is_said_when_it_is_written(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputNotWritable, match="no space is left") as caught,
        Target(Path("/dev/full"), JSONL) as target,
    ):
        open_writer(JSONL, target.stream).write(answered())
    assert "cache" in caught.value.remedy


@pytest.mark.parametrize("format", [CSV, JSONL])
def test_a_file_that_cannot_grow_is_a_failure_not_a_crash(tmp_path: Path, format: OutputFormat) -> None:
    path = tmp_path / "out"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(OutputNotWritable, match="out cannot be written"), Target(path, format) as target:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
            for _ in range(100):
                target.stream.write("x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.glob(".imgtool-*"))


@pytest.mark.parametrize("format", ["table", "jsonl", "csv", "json"])
def test_a_reader_that_has_gone_is_told_apart_and_nothing_is_printed(format: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, format], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"gone True\n"
    assert process.returncode == 0


def test_a_reader_that_goes_before_the_last_flush_is_told_too() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(ReaderGone), os.fdopen(writer, "w") as stdout, Target(None, CSV, stdout=stdout) as target:
        target.stream.write("buffered")


# --------------------------------------------------------------------------------------------------------------------
# Other places than files


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_names_of_stdout_append_where_the_shell_appends(tmp_path: Path, name: str) -> None:
    path = tmp_path / "log"
    path.write_text("former\n")
    with path.open("a") as stdout:
        assert python(ONE_RESULT, name, "table", stdout=stdout).returncode == 0
    assert path.read_text() == "former\n✓ a.png  1000×600 PNG\n"


def test_another_open_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("w") as out:
        out.write("former\n")
        out.flush()
        put(Path(f"/dev/fd/{out.fileno()}"), "new\n")
        out.write("after\n")
    assert path.read_text() == "former\nnew\nafter\n"


def test_a_named_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(path.read_text()))
    reader.start()
    put(path, "through the pipe")
    reader.join(10)
    assert received == ["through the pipe"]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_binary_output_to_a_terminal_is_refused() -> None:
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "rb"), os.fdopen(terminal, "w") as stdout:
        with pytest.raises(UsageProblem) as caught, Target(None, PARQUET, stdout=stdout):
            pass
        assert "-o results.parquet" in caught.value.remedy
        with Target(None, TABLE, stdout=stdout) as target:
            assert target.is_terminal


def test_a_terminal_named_as_the_output_is_a_terminal() -> None:
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "rb"), os.fdopen(terminal, "w"), Target(Path(os.ttyname(terminal)), TABLE) as target:
        assert (target.is_terminal, target.is_stdout) == (True, False)


def test_stdout_that_cannot_say_a_character_says_the_nearest() -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = python(ONE_RESULT, "-", "table", stdout=subprocess.PIPE, env=environ)
    assert (done.stdout, done.stderr) == ("+ a.png  1000x600 PNG\n", "")


def test_data_on_stdout_is_utf8_whatever_the_locale() -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    code = ONE_RESULT.replace('"a.png"', '"한.png"')
    done = subprocess.run([sys.executable, "-c", code, "-", "csv"], capture_output=True, env=environ, check=True)
    assert "한.png" in done.stdout.decode("utf-8")


def test_a_stand_in_for_stdout_will_do() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    with Target(None, CSV, stdout=out) as target:
        target.stream.write("한\r\n")
    out.seek(0)
    assert out.read() == "한\r\n"


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.json", JSON),
        ("a.JSONL", JSONL),
        ("a.ndjson", JSONL),
        ("a.b.csv", CSV),
        ("a.parquet", PARQUET),
        ("a.html", OutputFormat.HTML),
        ("a.txt", TABLE),
        ("json", None),
        ("-", None),
    ],
)
def test_the_format_is_guessed_from_the_suffix(name: str, format: OutputFormat | None) -> None:
    assert guess_format(Path(name)) is format


@pytest.mark.parametrize(
    ("name", "format", "said"),
    [
        ("a.xlsx", OutputFormat.CSV, "a.xlsx is written as csv in spite of its suffix"),
        ("a.csv", OutputFormat.CSV, ""),
        ("a.txt", OutputFormat.CSV, ""),
        ("a.log", OutputFormat.CSV, ""),
        ("a", OutputFormat.CSV, ""),
    ],
)
def test_a_suffix_of_another_format_is_told(name: str, format: OutputFormat, said: str) -> None:
    assert unlike_its_name(Path(name), format).partition(":")[0] == said
