"""``owns_tags=False``: device and backend write at the same time, again and again, and no tag is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from nhagent import HubClient
from nhagent.errors import ConcurrencyConflict
from nhagent.models import altered
from tests.device_under_test import PLAIN, Device
from tests.events import HANG_SECONDS

ROUNDS = 25
STYLES = ["installation", "registration"]


def own(style: str) -> dict[str, Any]:
    return {**PLAIN, "tags": None, "owns_tags": False, "style": style}


def both(*works: Callable[[], None]) -> None:
    """Do several things at once; what one of them raises is raised."""
    failures: list[BaseException] = []
    ready = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        try:
            ready.wait(HANG_SECONDS)
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_SECONDS)
        assert not thread.is_alive()
    if failures:
        raise failures[0]


def held_tags(device: Device, style: str) -> set[str]:
    contents = device.hub.contents()
    [held] = contents[f"{style}s"]
    return set(held.get("tags") or [])


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_device_that_rotates_while_its_backend_gives_tags_loses_none(
    device: Device, backend: HubClient, style: str
) -> None:
    device.start(**own(style))
    given = [f"tag-{number}" for number in range(ROUNDS)]

    def give() -> None:
        for tag in given:
            _give(device, backend, style, tag)

    def rotate() -> None:
        for number in range(ROUNDS):
            device.channel = f"https://push.example/{number}"
            report = _persistently(lambda: device.start(**own(style)))
            assert report.error is None, report

    both(give, rotate)
    assert held_tags(device, style) == set(given)
    contents = device.hub.contents()
    [held] = contents[f"{style}s"]
    assert held.get("pushChannel", held.get("channel")) == f"https://push.example/{ROUNDS - 1}"


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_device_that_refreshes_while_its_backend_takes_tags_brings_none_back(
    device: Device, backend: HubClient, style: str
) -> None:
    device.start(**own(style))
    for number in range(ROUNDS):
        _give(device, backend, style, f"tag-{number}")

    def take() -> None:
        for number in range(ROUNDS):
            _take(device, backend, style, f"tag-{number}")

    def refresh() -> None:
        for _ in range(ROUNDS):
            _persistently(lambda: device.agent(**own(style)).refresh(force=True))

    both(take, refresh)
    assert held_tags(device, style) == set()


def _persistently(act: Callable[[], Any]) -> Any:
    """A registration's ETag may be passed twice in one start; the next one gets through."""
    for _ in range(100):
        try:
            return act()
        except ConcurrencyConflict:
            continue
    raise AssertionError("the backend is always faster")


def _give(device: Device, backend: HubClient, style: str, tag: str) -> None:
    if style == "installation":
        held = device.held()[0]["installationId"]
        backend.patch_installation(held, [{"op": "add", "path": "/tags", "value": tag}])
    else:
        _modify(device, backend, lambda tags: (*tags, tag))


def _take(device: Device, backend: HubClient, style: str, tag: str) -> None:
    if style == "installation":
        held = device.held()[0]["installationId"]
        backend.patch_installation(held, [{"op": "remove", "path": f"/tags/{tag}"}])
    else:
        _modify(device, backend, lambda tags: tuple(each for each in tags if each != tag))


def _modify(device: Device, backend: HubClient, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> None:
    [row] = device.hub.contents()["registrations"]
    for _ in range(100):
        try:
            backend.modify_registration(
                row["registrationId"], lambda held: altered(held, tags=change(tuple(held.tags)))
            )
        except ConcurrencyConflict:
            continue
        return
    raise AssertionError("the device is always faster")
