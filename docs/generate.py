"""Writes what is made from the command's parser: the man page and the completions of bash, zsh and fish.

Run as ``python docs/generate.py``, with the extra ``test``. A test says when the files are old.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ["COLUMNS"] = "80"  # the help's width is part of the files

import shtab
from argparse_manpage.manpage import Manpage

from nhagent.commands.parser import make_parser
from nhagent.commands.usage import Parser
from nhagent.version import __version__

FOLDER = Path(__file__).parent / "generated"
FILES_OF_SHELLS = {"bash": "nhagent.bash", "zsh": "_nhagent", "fish": "nhagent.fish"}
_DATE = "2026-11-27"
"""Of the man page: it must not depend on when it is made."""


def generated() -> dict[str, str]:
    """Give the files by their names."""
    parser = make_parser().whole()
    _mark_files(parser)
    files = {
        name: shtab.complete(parser, shell=shell).rstrip() + "\n" for shell, name in FILES_OF_SHELLS.items()
    }
    return {**files, "nhagent.1": _man_page()}


def _man_page() -> str:
    parser = make_parser().whole()
    page = Manpage(parser)
    page.date = _DATE
    page.source = f"nhagent {__version__}"
    page.manual = "nhagent"
    # Programs that index pages take the line after NAME for the summary.
    summary = "nhagent \\- keep a device known to an Azure notification hub"
    return str(page).replace(".SH NAME\nnhagent\n", f".SH NAME\n{summary}\n").rstrip() + "\n"


def _mark_files(parser: argparse.ArgumentParser) -> None:
    """Let shells offer files where an option takes one."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way
        if action.metavar == "FILE":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                assert isinstance(command, Parser)
                _mark_files(command)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in generated().items():
        (FOLDER / name).write_text(text, "utf-8")
