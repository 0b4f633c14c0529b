"""The configuration files that are there: found upwards from the current folder, and the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from imgtool.errors import ConfigProblem

FILE_NAME = "imgtool.toml"

SECTIONS = ("bench",)
"""Tables of a configuration file that belong to a command of their own."""


def tables(section: str) -> list[tuple[str, dict[str, Any]]]:
    """What the configuration files say under ``section``, the strongest first, each with the name of its file.

    Raises:
        ConfigProblem: a file cannot be read, or ``section`` is no table in it.
    """
    found = ((where, table) for where, table, _ in files(None, None) if section in table)
    return [(where, normalise(_table(table, section, where))) for where, table in found]


def files(folder: Path | None, user_file: Path | None) -> Iterator[tuple[str, Mapping[str, Any], Path]]:
    """The tables of the configuration files that are there, the strongest first, each with its name and its folder."""
    start = _current_folder() if folder is None else folder
    if start is not None and (own := _find_upwards(start, FILE_NAME)) is not None:
        yield str(own), _read_toml(own), own.parent
    if start is not None and (project := _find_upwards(start, "pyproject.toml")) is not None:
        name = f"{project} [tool.imgtool]"
        yield name, _table(_table(_read_toml(project), "tool", name), "imgtool", name), project.parent
    user = _user_file() if user_file is None else user_file
    if user is not None and _is_file(user):
        yield str(user), _read_toml(user), user.parent


def _current_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # removed under us, or in a folder that may not be entered: no configuration, no failure
        return None


def _user_file() -> Path | None:
    from platformdirs import user_config_path

    try:
        return user_config_path("imgtool", appauthor=False) / "config.toml"
    except RuntimeError:  # a user without a home has no configuration either
        return None


def _table(table: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    found = table.get(key, {})
    if not isinstance(found, dict):
        raise ConfigProblem(f"{where}: {key!r} is not a table", "write its name in brackets, [...], and keys below it")
    return found


def normalise(table: Mapping[str, Any]) -> dict[str, Any]:
    """Keys as options are named: ``top-k`` and ``top_k`` are the same."""
    return {key.replace("-", "_"): value for key, value in table.items()}


def _find_upwards(start: Path, name: str) -> Path | None:
    for folder in (start, *start.parents):
        if _is_file(folder / name):
            return folder / name
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that may not be entered
        return False


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigProblem(f"{path} is not valid TOML: {error}", "correct or remove that file") from error
    except OSError as error:
        raise ConfigProblem(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
    return table
