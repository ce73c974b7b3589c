"""The environment that is measured: nhagent in its site-packages, and no editable install in it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests import wheel
from tests.benchmarks.processes import clean_environment

_ASK = """
import json, site, sysconfig
try:
    import nhagent
    file = nhagent.__file__
except ImportError:
    file = None
places = [*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
print(json.dumps({"file": file, "places": places}))
"""


class NotPlain(Exception):
    """An environment that would give false figures; its text is a sentence for whoever named it."""


def make(folder: Path) -> str:
    """Build the wheel and install it plainly, with compiled bytecode; return the interpreter.

    Args:
        folder: where wheel and environment are put.
    """
    return check(wheel.environment(folder))


def check(python: str) -> str:
    """Return the interpreter, if its nhagent is plainly installed.

    Raises:
        NotPlain: it is not; the text says why, and what to do.
    """
    command = [python, "-P", "-c", _ASK]
    try:
        done = subprocess.run(
            command, env=clean_environment(), cwd="/", check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotPlain(f"{python} is not an interpreter that runs ({error}): name another one.") from error
    answer = json.loads(done.stdout)
    places = [Path(place).resolve() for place in answer["places"]]
    if answer["file"] is None:
        raise NotPlain(f"{python} has no nhagent: install the wheel there, or leave out --python.")
    editable = sorted({path.name for place in places for path in _editable_in(place)})
    file = Path(answer["file"]).resolve()
    if editable or not any(file.is_relative_to(place) for place in places):
        found = ", ".join(editable) or f"nhagent lies in {file.parent}"
        raise NotPlain(
            f"{python} has an editable install ({found}). That doubles the time of bare Python, and so every "
            "ratio to it looks half as bad as it is: install the wheel instead, or leave out --python."
        )
    return python


def _editable_in(place: Path) -> list[Path]:
    """What an editable install of any package leaves in a folder; each slows down every start of Python."""
    return [*place.glob("__editable__*"), *place.glob("*.egg-link")]
