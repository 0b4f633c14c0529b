"""Options of ``imgtool bench``: flag, then configuration file, then default."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.bench.data.record import PageCache
from imgtool.cli.bench.options import BenchOptions, resolve
from imgtool.errors import UnknownKey, UsageProblem


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "imgtool.toml"


@pytest.mark.usefixtures("config")
def test_nothing_typed_is_all_defaults() -> None:
    assert resolve({"runs": None, "paths": [], "arm": ()}) == BenchOptions()


@pytest.mark.usefixtures("config")
def test_texts_become_values() -> None:
    found = resolve(
        {"runs": "5", "page_cache": "both", "timeout": "2m", "arms": "a, b,a", "save": "~/x.json", "max_wall": "3s"}
    )
    assert (found.runs, found.timeout, found.arms) == (5, 120.0, ("a", "b"))
    assert found.page_cache == (PageCache.WARM, PageCache.COLD)
    assert found.save == Path("~/x.json").expanduser()
    assert found.budgets.max_wall == 3.0


def test_a_flag_overrides_the_file(config: Path) -> None:
    config.write_text("[bench]\nruns = 7\nwarm-ups = 0\nfail-slower = '20%'\n")
    found = resolve({"runs": "3"})
    assert (found.runs, found.warm_ups, found.budgets.fail_slower) == (3, 0, 0.2)


def test_an_unknown_key_is_refused_with_the_nearest(config: Path) -> None:
    config.write_text("[bench]\nrun = 7\n")
    with pytest.raises(UnknownKey, match="sets 'run' for bench") as caught:
        resolve({})
    assert caught.value.remedy == "did you mean 'runs'?"
    config.write_text("[bench]\nsave = 'x'\n")
    with pytest.raises(UnknownKey, match="'save'"):
        resolve({})


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("runs", "1", "--runs: must be between 2 and 10000, not 1"),
        ("warm_ups", "-1", "--warm-ups: must be between 0"),
        ("steady", "x", "--steady: "),
        ("timeout", "0", "--timeout: must be more than 0"),
        ("page_cache", "hot", "--page-cache: 'hot' is none of warm, cold, both"),
        ("arms", ",", "--arms: names nothing"),
    ],
)
def test_values_that_make_no_sense_name_their_flag(name: str, value: str, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        resolve({name: value})


def test_exit_codes_that_count_come_from_the_file_too(config: Path) -> None:
    config.write_text("[bench]\nignore_failure = [3, 4]\n")
    assert resolve({}).ignore_failure == (3, 4)
    assert resolve({"ignore_failure": "all"}).ignore_failure is None
    config.write_text("[bench]\nignore_failure = 3\n")
    assert resolve({}).ignore_failure == (3,)
