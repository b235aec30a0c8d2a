"""The wheel is whole; the Dockerfile copies what there is, and runs the command as an ordinary user.

No test builds the image: that needs Docker and the network.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, each with what follows it."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest) for name, rest in lines]


def kept(path: str) -> bool:
    """Tell whether .dockerignore lets a file or folder of the repository into the build; its last word counts."""
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    said = [rule for rule in rules if rule == "*" or rule.removeprefix("!") == path]
    return said[-1].startswith("!")


def test_what_it_copies_is_there_and_not_ignored(steps: list[tuple[str, str]]) -> None:
    copied = [word for name, rest in steps if name == "COPY" and "--from" not in rest for word in rest.split()[:-1]]
    assert {"src", "pyproject.toml", "requirements.lock"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists(), name
        assert kept(name), name
    assert PROJECT["readme"] in copied
    assert not kept("docs")


def test_both_stages_have_one_supported_python(steps: list[tuple[str, str]]) -> None:
    images = [rest.split()[0] for name, rest in steps if name == "FROM"]
    assert len(images) == 2
    (version,) = {re.fullmatch(r"python:(\d+\.\d+)-slim", image)[1] for image in images}
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert f"--python-version {version}" in locked[:400]


def test_it_installs_the_wheel_with_groups_that_there_are(steps: list[tuple[str, str]]) -> None:
    runs = " ".join(rest for name, rest in steps if name == "RUN")
    built = re.search(r"--wheel-dir (\S+)", runs)[1]
    copied = next(rest.split() for name, rest in steps if name == "COPY" and "--from=wheel" in rest)
    assert copied[1].endswith(f"/{built}")
    (group,) = re.findall(rf"{copied[2]}/\*\.whl\)\[(\w+)\]", runs)
    assert group in PROJECT["optional-dependencies"]
    assert runs.count("--torch-backend cpu") == 2


def test_the_wheel_holds_all_that_the_package_does(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        there = set(content.namelist())
    files = (path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert {str(path.relative_to(ROOT / "src")) for path in files} <= there
    assert {Path(name).name for name in there} >= {"LICENSE", "entry_points.txt"}


def test_it_runs_the_command_as_an_ordinary_user(steps: list[tuple[str, str]]) -> None:
    (user,) = [rest for name, rest in steps if name == "USER"]
    assert user != "root"
    assert any(f"useradd --create-home {user}" in rest for name, rest in steps if name == "RUN")
    (command,) = [json.loads(rest) for name, rest in steps if name == "ENTRYPOINT"]
    assert command[0] in PROJECT["scripts"]
