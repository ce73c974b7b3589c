"""What the backend writes is read by others: a device with short-lived tokens, and the official client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nhagent import Agent, Backend, HubClient, Installation, Outcome, Template
from nhagent.errors import Unauthorized
from tests.official_client import require_client, run_client

from .running import HANDLE, Caller, RunningBackend

TOAST = Template("<toast/>", {"X-WNS-Type": "wns/toast"})


def agent_of(device: Caller, folder: Path, **changes: Any) -> Agent:
    backend = device.backend
    settings: dict[str, Any] = {
        "app": "thermostat",
        "hub": Backend("acme", f"{backend.url}/devices", token=device.token, ca_bundle=backend.ca),
        "platform": "wns",
        "channel": HANDLE,
        "tags": ["kitchen"],
        "templates": {"alert": TOAST},
        "state_dir": folder,
    }
    return Agent(**{**settings, **changes})


def test_short_lived_token_is_for_one_installation(
    backend: RunningBackend, phone: Caller, stranger: Caller, tmp_path: Path
) -> None:
    def ask(installation_id: str) -> str:
        return str(phone.send("POST", f"/tokens/{installation_id}").json["token"])

    agent = agent_of(
        phone,
        tmp_path,
        hub=backend.hub.hub,
        token=ask,
        endpoint=backend.hub.endpoint,
        ca_bundle=backend.hub.ca,
    )
    report = agent.start(timeout=0)
    assert (report.outcome, report.error) == (Outcome.REGISTERED, None)
    assert stranger.send("POST", f"/tokens/{report.installation_id}").code == "not_found"
    answer = phone.send("POST", "/tokens/mine")
    assert answer.headers["Cache-Control"] == "no-store"
    left = datetime.fromisoformat(answer.json["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=55) < left <= timedelta(hours=1)
    token = answer.json["token"]
    with HubClient(
        lambda: token, backend.hub.hub, endpoint=backend.hub.endpoint, ca_bundle=backend.hub.ca
    ) as hub:
        hub.put_installation(Installation("mine", "wns", "https://push.example/mine"))
        with pytest.raises(Unauthorized):
            hub.put_installation(Installation("other", "wns", "https://push.example/mine"))
    assert phone.send("POST", "/tokens/..").code == "invalid_installation"


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_official_client_reads_what_the_backend_wrote(
    backend: RunningBackend, phone: Caller, tmp_path: Path
) -> None:
    require_client()
    phone.follow("news")
    installation_id = str(agent_of(phone, tmp_path).start(timeout=0).installation_id)
    hub = backend.hub
    got = run_client("get", hub.full, hub.hub, installation_id=installation_id, ca=hub.ca)
    assert got["ok"], got
    assert got["installation"] == {
        "installationId": installation_id,
        "platform": "wns",
        "pushChannel": HANDLE,
        "pushChannelExpired": False,
        "expirationTime": "9999-12-31T23:59:59.9999999Z",
        "tags": ["kitchen", "username:anna", "topic:news"],
        "templates": {
            "alert": {"body": "<toast/>", "headers": {"X-WNS-Type": "wns/toast"}, "tags": ["alert"]}
        },
    }
