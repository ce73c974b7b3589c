"""Asking the official JavaScript client, whose understanding of the protocol is not ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.events import HANG_SECONDS

FOLDER = Path(__file__).parent


def why_missing() -> str | None:
    """Return why the client cannot be run here; None: it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (FOLDER / "node_modules" / "@azure" / "notification-hubs").is_dir():
        return "the official client is not installed: npm install --prefix tests/official_client"
    return None


def require_client() -> None:
    """Skip the test when the client is not installed; under `NHAGENT_CI=1` fail it."""
    reason = why_missing()
    if reason is None:
        return
    if os.environ.get("NHAGENT_CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def run_client(
    command: str,
    connection_string: str,
    hub: str,
    *,
    installation: dict[str, Any] | None = None,
    installation_id: str | None = None,
    patches: Sequence[dict[str, Any]] | None = None,
    ca: str | None = None,
) -> dict[str, Any]:
    """One request through the official client.

    Args:
        command: `get`, `put`, `patch` or `delete`.
        connection_string: of the hub's namespace.
        hub: its name.
        installation: for `put`.
        installation_id: for the others. The client does not code it: it must be fit for a path as it is.
        patches: for `patch`.
        ca: path of a further certificate authority to trust, PEM.

    Returns:
        `{"ok": True, "installation": {...}}` after a `get`; `ok` with `trackingId` and `correlationId` after
        a write; `{"ok": False, "statusCode", "message"}` when the client raised.
    """
    request = {
        "command": command,
        "installation": installation,
        "installationId": installation_id,
        "patches": patches,
    }
    (answer,) = run_requests([request], connection_string, hub, ca=ca)
    return answer


def run_requests(
    requests: Sequence[dict[str, Any]], connection_string: str, hub: str, *, ca: str | None = None
) -> list[dict[str, Any]]:
    """Requests through the official client, one after the other, in one process: its start is what costs.

    Args:
        requests: each with its `command` and what that needs, as `client.mjs` tells.
        connection_string: of the hub's namespace; a request's own `connectionString` goes before it.
        hub: its name.
        ca: path of a further certificate authority to trust, PEM.

    Returns:
        For each request `ok` with what the client returned, or with `statusCode` and `message`.
    """
    require_client()
    common = {"connectionString": connection_string, "hub": hub}
    # A proxy of the machine's must not stand between client and loopback.
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    if ca is not None:
        environment["NODE_EXTRA_CA_CERTS"] = ca
    finished = subprocess.run(
        ["node", str(FOLDER / "client.mjs")],
        input=json.dumps({"requests": [common | request for request in requests]}),
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=True,
        env=environment,
    )
    answers = json.loads(finished.stdout)["answers"]
    assert isinstance(answers, list)
    return answers
