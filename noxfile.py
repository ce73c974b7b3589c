"""The checks by name: ``nox -s fast``, ``lint``, ``types``, ``all``, ``docs``, ``bench``.

``nox`` runs the first three.
Only pip needs the network. An environment is made once and used again; ``nox -R`` does not even ask pip.
"""

from __future__ import annotations

import nox

nox.needs_version = ">= 2024.4"
nox.options.sessions = ["fast", "lint", "types"]
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True

PLATFORMS = ("linux", "win32", "darwin")


@nox.session
def fast(session: nox.Session) -> None:
    """Run the tests but for those that take more than a third of a second each."""
    session.install("-e", ".[test]")
    session.run("pytest", "-m", "not slow", "-n", "auto", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and dead code."""
    session.install("-e", ".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("vulture", "nhagent", "tests/vulture_allow.py", "--min-confidence", "60")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types as each platform sees them."""
    session.install("-e", ".[test]")
    for platform in PLATFORMS:
        session.run("mypy", "--platform", platform)


@nox.session(name="all")
def everything(session: nox.Session) -> None:
    """Run README's test command: every test."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-n", "auto", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, without a warning; pages go to ``docs/_build``."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-q", "-W", "--keep-going", "docs", "docs/_build")


@nox.session
def bench(session: nox.Session) -> None:
    """Print the benchmarks; they build the wheel, and measure it in a plain environment of its own."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.benchmarks", *session.posargs)
