"""A user's program, as it comes naturally: each line must be right to mypy and to pyright."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path

import nhagent
from nhagent import KEEP, Agent, AsyncAgent, HeldRegistration, HubClient, Installation, Outcome, Platform
from nhagent import BrowserChannel, Registration, Report, SecondaryTile, StartState, Template, channels
from nhagent.errors import ChannelError, HubError, NhagentError, RecordNotFound, Throttled
from nhagent.models import PlatformName


def read_channel() -> str | None:
    return Path("/run/channel").read_text() or None


def on_registered(report: Report) -> None:
    print(report.outcome, report.installation_id, file=sys.stderr)


def make(platform: PlatformName, signed_in: bool) -> Agent:
    return Agent(
        app="thermostat",
        hub="my-hub",
        platform=platform,
        channel=read_channel,
        tags={"kitchen", "heating"},
        templates={"alert": Template("<toast/>", headers={"X-WNS-Type": "wns/toast"}, tags=["alerts"])},
        secondary_tiles={"weather": SecondaryTile(channel=channels.from_file("/run/tile"))},
        user_id="ann" if signed_in else KEEP,
        expires_after=timedelta(days=90),
        state_dir=Path("/var/lib/thermostat"),
        on_registered=on_registered,
        on_error=lambda error: print(error.fact, error.hint),
    )


def run(agent: Agent) -> int:
    report = agent.start(timeout=10)
    if report.error is not None and report.error.retryable and report.next_attempt is not None:
        wait: timedelta = report.next_attempt - datetime.now(report.next_attempt.tzinfo)
        print(f"again in {wait.total_seconds():.0f} s")
    problems: Mapping[str, ChannelError] = report.channel_errors
    print(
        json.dumps(report.to_dict()), [str(problem) for problem in problems.values() if not problem.pending]
    )
    agent.add_tags("attic", ["cellar"])
    agent.update(user_id=None, push_variables={"name": "Ann"}, tags=[])
    for step in agent.plan():
        print(step.method, step.record, step.fields)
    if not agent.verify().in_sync or agent.status().state is StartState.BLOCKED:
        return 1
    with agent.keep_fresh():
        agent.poke()
    return 0 if report.in_sync and report.outcome in {Outcome.REGISTERED, "unchanged"} else 75


async def run_async() -> Report:
    async def channel() -> Mapping[str, object]:
        return {"endpoint": "https://push.example/1", "keys": {"p256dh": "…", "auth": "…"}}

    async def token(installation_id: str) -> str:
        return f"SharedAccessSignature sr={installation_id}"

    async with AsyncAgent(
        app="dashboard", hub="my-hub", platform="browser", channel=channel, token=token
    ) as agent:
        async with agent.keep_fresh():
            await asyncio.sleep(1)
        return await agent.start()


def clean_up(connection_string: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    with HubClient(connection_string, "my-hub", timeout=5) as hub:
        hub.put_installation(Installation("device", "fcmv1", "dQw4:APA91b-good", ["a", "b"]))
        held = hub.get_installation("device")
        hub.put_installation(replace(held, tags=(*held.tags, "c"), platform=Platform.FCMV1))
        hub.patch_installation("device", [{"op": "add", "path": "/tags", "value": "d"}])
        for page in hub.registrations().pages():
            for row in page.items:
                counts[row.platform] = counts.get(row.platform, 0) + len(row.tags)
                if row.installation_id is None and row.expiration_time is not None:
                    hub.delete_registration(row)
        row = hub.create_registration(Registration("wns", "https://push.example/1", tags=("a",)))
        changed: HeldRegistration = hub.update_registration(row.registration_id, replace(row, tags=("b",)))
        hub.modify_registration(changed.registration_id, lambda now: replace(now, tags=("c",)))
        try:
            hub.get_registration("gone")
        except RecordNotFound as error:
            print(error.status, error.tracking_id)
        except (Throttled, HubError) as error:
            print(error.retry_after, error.detail)
        print(
            hub.last_reply.status if hub.last_reply else None,
            asdict(held),
            Installation.from_dict(held.to_dict()),
        )
    return counts


def subscription(text: str) -> BrowserChannel:
    return BrowserChannel.parse(json.loads(text))


if __name__ == "__main__":
    try:
        sys.exit(run(make("wns", signed_in=True)))
    except nhagent.errors.ConfigurationError as error:
        sys.exit(str(error))
    except NhagentError:
        sys.exit(1)
