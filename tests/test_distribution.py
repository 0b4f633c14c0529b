"""The commands that remedies print, from every kind of installation: each made with pip, in an environment of its own.

Building needs no index: hatchling is installed here, and dependencies are left out.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from imgtool import distribution
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAME = PROJECT["name"]
_ASK = "from imgtool.distribution import *; print({call})"
_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
_BUILDER = ("hatchling", "editables", "packaging", "pathspec", "pluggy", "trove_classifiers")
_OFFLINE = ["--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir"]


@dataclass(frozen=True)
class Environment:
    """A virtual environment without pip, as uv makes them; installed into from outside."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Environment:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        made = cls(folder)
        made.lend(*_BUILDER)
        return made

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site(self) -> Path:
        """Where its packages lie."""
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    def install(self, *words: str | Path) -> None:
        command = [*_PIP, "--python", str(self.python), "install", *_OFFLINE, *map(str, words)]
        subprocess.run(command, check=True, env=_environ())

    def lend(self, *packages: str) -> None:
        """Have packages of this interpreter there."""
        for name in packages:
            spec = find_spec(name)
            assert spec is not None and spec.origin is not None
            found = Path(spec.origin)
            (self.site / name).symlink_to(found.parent if found.name == "__init__.py" else found)

    def ask(self, call: str, **environ: str) -> str:
        """What a call gives there, in an interpreter that knows nothing of this checkout."""
        done = subprocess.run(
            [str(self.python), "-c", _ASK.format(call=call)],
            env=_environ(**environ),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def words(self, *extras: str) -> list[str]:
        """What the command of :func:`install_command` installs, word by word."""
        command = self.ask(f"install_command(*{extras!r})")
        return shlex.split(command.partition(" install ")[2])


def _environ(**environ: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, **environ}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment.make(tmp_path / "environment")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose path a shell would take apart."""
    folder = tmp_path_factory.mktemp("a [b]") / "it's here"
    shutil.copytree(ROOT / "imgtool", folder / "imgtool", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    subprocess.run([*_PIP, "wheel", *_OFFLINE, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (made,) = folder.iterdir()
    return made


def test_the_name_is_that_of_the_project() -> None:
    assert distribution.NAME == NAME
    assert PROJECT["scripts"] == {"imgtool": distribution._ENTRY_POINT}


def test_from_an_index_the_distribution_is_named(environment: Environment, wheel: Path) -> None:
    environment.install("--find-links", wheel.parent, NAME)
    assert environment.words("torch") == [f"{NAME}[torch]"]
    assert environment.words("heif", "formats") == [f"{NAME}[heif,formats]"]
    assert environment.ask("install_command(again=True)").endswith(f" install --force-reinstall {NAME}")


@pytest.mark.slow
def test_another_program_of_the_same_name_is_not_taken_for_ours(environment: Environment, wheel: Path) -> None:
    other = environment.site / "imgtool-2.5.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: imgtool\nVersion: 2.5.0\n")
    (other / "entry_points.txt").write_text("[console_scripts]\nimgtool = imgtool.main:imgtool\n")
    environment.install("--find-links", wheel.parent, NAME)
    assert environment.words("torch") == [f"{NAME}[torch]"]


def test_from_a_folder_the_folder_is_named(environment: Environment, checkout: Path) -> None:
    environment.install(checkout)
    assert environment.words("torch") == [f"{checkout}[torch]"]


def test_an_editable_install_stays_editable(environment: Environment, checkout: Path) -> None:
    environment.install("--editable", checkout)
    assert environment.words("torch") == ["--editable", f"{checkout}[torch]"]


@pytest.mark.slow
def test_from_a_wheel_the_wheel_is_named(environment: Environment, wheel: Path) -> None:
    environment.install(wheel)
    assert environment.words("hub") == [f"{wheel}[hub]"]


def parsed(requirements: Iterable[str]) -> set[Requirement]:
    return {Requirement(each) for each in requirements}


@pytest.mark.slow
def test_where_the_wheel_is_gone_the_requirements_are_listed(
    environment: Environment, wheel: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(wheel, tmp_path))
    environment.install(copy)
    copy.unlink()
    extras = PROJECT["optional-dependencies"]
    assert environment.words("heif") == extras["heif"]
    # An extra that takes in another: its requirements stand in its place.
    assert parsed(environment.words("torch")) == parsed([*extras["hub"], *extras["torch"][1:]])
    assert parsed(environment.words()) == parsed(PROJECT["dependencies"])


def test_from_a_repository_the_commit_is_named(environment: Environment, checkout: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(checkout, repository)
    git = ["git", "-C", str(repository), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    environment.install(f"git+file://{repository}")
    assert environment.words("torch") == [f"{NAME}[torch] @ git+file://{repository}@{commit}"]


def test_a_copy_of_the_package_alone_names_the_distribution(environment: Environment) -> None:
    shutil.copytree(ROOT / "imgtool", environment.site / "imgtool")
    assert environment.words("torch") == [f"{NAME}[torch]"]


def test_this_checkout_names_itself() -> None:
    assert distribution.install_command("heif").endswith(f" install --editable {shlex.quote(f'{ROOT}[heif]')}")


@pytest.mark.slow
@pytest.mark.parametrize("editable", [False, True], ids=["folder", "editable"])
def test_the_command_works_when_pasted(environment: Environment, checkout: Path, editable: bool) -> None:
    environment.install(*(["--editable"] if editable else []), checkout)
    environment.lend("pip")
    command = environment.ask("install_command('heif')")
    # Nothing is installed, and no index is asked; pip reads the words, builds the metadata and finds the extra.
    done = subprocess.run(
        ["sh", "-c", f"{command} --dry-run --ignore-installed {shlex.join(_OFFLINE)}"],
        env=_environ(PIP_DISABLE_PIP_VERSION_CHECK="1"),
        cwd=environment.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"Would install {NAME}-" in done.stdout
    assert "does not provide the extra" not in done.stderr


class TestPip:
    """Which pip the command begins with."""

    @pytest.fixture
    def environment(self, tmp_path: Path) -> Environment:
        made = Environment.make(tmp_path / "my environment")
        shutil.copytree(ROOT / "imgtool", made.site / "imgtool")
        return made

    @staticmethod
    def program(folder: Path, name: str) -> None:
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)

    def test_it_is_that_of_the_interpreter(self, environment: Environment) -> None:
        environment.lend("pip")
        command = environment.ask("pip_install('--upgrade', 'easyocr>=1.7.2')")
        assert command == f"'{environment.python}' -m pip install --upgrade 'easyocr>=1.7.2'"

    def test_an_activated_environment_needs_no_path(self, environment: Environment) -> None:
        environment.lend("pip")
        self.program(environment.folder / "bin", "pip")
        path = f"{environment.folder / 'bin'}:/usr/bin:/bin"
        assert environment.ask("pip_install('memray')", PATH=path) == "pip install memray"

    def test_another_pip_that_comes_first_is_not_called(self, environment: Environment, tmp_path: Path) -> None:
        environment.lend("pip")
        self.program(tmp_path / "other", "pip")
        command = environment.ask("pip_install('memray')", PATH=f"{tmp_path / 'other'}:/usr/bin:/bin")
        assert command == f"'{environment.python}' -m pip install memray"

    def test_without_pip_uv_installs(self, environment: Environment, tmp_path: Path) -> None:
        self.program(tmp_path / "other", "uv")
        command = environment.ask("pip_install('memray')", PATH=f"{tmp_path / 'other'}:/usr/bin:/bin")
        assert command == f"uv pip install --python '{environment.python}' memray"

    def test_without_pip_and_uv_pip_is_installed_first(self, environment: Environment, tmp_path: Path) -> None:
        python = f"'{environment.python}'"
        command = environment.ask("pip_install('memray')", PATH=str(tmp_path))
        assert command == f"{python} -m ensurepip && {python} -m pip install memray"


def test_no_module_writes_such_a_command_itself() -> None:
    written = re.compile(r"\bpip3? install|\buv pip|imgtool\[")
    found = [
        path.relative_to(ROOT)
        for path in (ROOT / "imgtool").rglob("*.py")
        if path.name != "distribution.py" and written.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_importing_the_command_line_makes_no_remedy() -> None:
    """What a remedy needs is looked up when there is one to print."""
    code = (
        "import pkgutil, importlib, imgtool, imgtool.distribution as d\n"
        "def made(*words): raise AssertionError(words)\n"
        "d.install_command = d.pip_install = made\n"
        "for found in pkgutil.walk_packages(['imgtool/cli'], 'imgtool.cli.'): importlib.import_module(found.name)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
