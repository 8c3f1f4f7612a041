"""What is built is what users install; types and lint hold for all of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from installation import program_environment, state_of

PACKAGE = Path(__file__).parent.parent
USE = """
import mayfly, pathlib
assert "site-packages" in mayfly.__file__ or "target" in mayfly.__file__, mayfly.__file__
assert pathlib.Path(mayfly.__file__).with_name("py.typed").exists()
with mayfly.task(goal="installed", deadline="1m", credentials=["orders-db/reader"]) as task:
    print(task.id, len(task.credential("orders-db/reader").url.expose()) > 20)
"""


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path = PACKAGE) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that is built from it; from a copy, so that nothing is left here."""
    source = tmp_path_factory.mktemp("source") / "client-python"
    leave_out = shutil.ignore_patterns("__pycache__", "*_cache", "dist", "tests")
    shutil.copytree(PACKAGE, source, ignore=leave_out)
    out = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source)
    return out


def one(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    assert len(found) == 1, found
    return found[0]


def test_the_wheel_is_used_in_an_empty_environment(built: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    lock = PACKAGE / "requirements" / "runtime.txt"
    run(*pip, "--require-hashes", "--only-binary=:all:", "-r", lock, env=dict(os.environ))
    run(*pip, "--no-deps", "--no-index", one(built, "*.whl"), env=dict(os.environ))
    environ = program_environment(tmp_path)
    del environ["PYTHONPATH"]
    task, has_url = run(python, "-c", USE, env=environ, cwd=tmp_path).split()
    assert has_url == "True"
    assert state_of(task) == "completed"


def test_the_sdist_is_installed_and_used(built: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--target", target)
    run(*pip, *options, one(built, "*.tar.gz"), env=dict(os.environ))
    environ = {**program_environment(tmp_path), "PYTHONPATH": str(target)}
    task, _has_url = run(sys.executable, "-c", USE, env=environ, cwd=tmp_path).split()
    assert state_of(task) == "completed"


def test_wheel_and_sdist_hold_the_package_and_nothing_else(built: Path) -> None:
    modules = {str(path.relative_to(PACKAGE / "src")) for path in PACKAGE.glob("src/**/*.py")}
    with zipfile.ZipFile(one(built, "*.whl")) as wheel:
        names = [name for name in wheel.namelist() if ".dist-info/" not in name]
    assert set(names) == modules | {"mayfly/py.typed"}
    with tarfile.open(one(built, "*.tar.gz")) as sdist:
        paths = {name.split("/", 1)[1] for name in sdist.getnames()}
    beside = {"PKG-INFO", "README.md", "pyproject.toml", ".gitignore"}
    assert {f"src/{name}" for name in names} <= paths
    assert {path for path in paths if not path.startswith("src/")} <= beside


def test_the_types_hold_under_strict() -> None:
    run(sys.executable, "-m", "mypy", "--no-incremental", "--cache-dir", os.devnull)


def test_the_linter_finds_nothing() -> None:
    run(sys.executable, "-m", "ruff", "check", "--no-cache", ".")


def test_the_formatter_would_change_nothing() -> None:
    run(sys.executable, "-m", "ruff", "format", "--check", "--no-cache", ".")


def test_a_mistake_of_types_in_a_users_program_is_found(tmp_path: Path) -> None:
    """The control of the test above: types reach the user, and a secret is no text."""
    file = tmp_path / "program.py"
    file.write_text(
        "import mayfly\n"
        "with mayfly.task(goal='x', deadline='1m') as task:\n"
        "    dsn: str = task.credential('a/b').url\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, str(file)],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(PACKAGE / "src")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    assert 'expression has type "Secret", variable has type "str"' in done.stdout
