"""What docs/backend-openapi.yaml says is so: schemathesis asks the example what that allows, and more."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.children import cannot
from tests.events import HANG_SECONDS

from .running import Caller, RunningBackend

pytestmark = pytest.mark.slow

CONTRACT = Path(__file__).parents[2] / "docs" / "backend-openapi.yaml"
PROGRAM = Path(__file__).parent / ".venv/bin/schemathesis"
"""It lives in an environment of its own: as a plug-in it would slow down every start of pytest."""
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


def require_schemathesis() -> None:
    """Skip the test when schemathesis is not installed; under `NHAGENT_CI=1` fail it."""
    if not PROGRAM.exists():
        cannot(
            "schemathesis is not installed: python3 -m venv tests/backend_example/.venv && "
            "tests/backend_example/.venv/bin/pip install -r tests/backend_example/requirements.txt"
        )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_example_keeps_its_contract(backend: RunningBackend, phone: Caller, tmp_path: Path) -> None:
    require_schemathesis()
    command = [
        *(str(PROGRAM), "--config-file", str(CONFIGURATION), "--no-color"),
        *("run", str(CONTRACT), "--url", f"{backend.url}/devices", "--tls-verify", backend.ca),
        *("--header", f"Authorization: Bearer {phone.token}", "--max-examples", "40", "--seed", "1"),
        *("--continue-on-failure", "--request-timeout", str(HANG_SECONDS)),
    ]
    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=5 * HANG_SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    written = [entry for entry in backend.hub.log() if entry.method == "PUT" and entry.status == 200]
    assert written, "nothing that was asked for was an installation"
