"""What azure-sb's methods are called with; together these are all of its public methods."""

from __future__ import annotations

from itertools import chain
from typing import Any

from . import Call
from .layouts import LAYOUTS

WNS = "https://db5.notify.windows.com/?token=AwYAAAB%2f&x=a+b"
MPNS = "https://mpns.example/1"
TOKEN = "00FC13ADFF785122"
GCM = "gcm:APA91b"
TAGS = ["kitchen", "model:t-1"]
RAW_WNS = {"headers": {"X-WNS-Type": "wns/raw"}}
PHONE_TOAST = {"headers": {"X-WindowsPhone-Target": "toast", "X-NotificationClass": "2"}}
PHONE_TEMPLATE = "<wp:Notification xmlns:wp='WPNotification'><wp:Toast/></wp:Notification>"


def key_of(place: int) -> dict[str, Any]:
    """Stands for the registration's id in an earlier answer."""
    return {"$answer": place, "$member": "RegistrationId"}


ID = {"$answer": 0}
# Each begins with an id that the hub makes.
PLATFORMS: dict[str, list[Call]] = {
    "wns": [
        Call("createRegistrationId"),
        Call("wns.createNativeRegistration", [WNS, TAGS]),
        Call("wns.createOrUpdateNativeRegistration", [ID, WNS, ["hall"]]),
        Call("wns.createRawTemplateRegistration", [WNS, TAGS, "$(m)", RAW_WNS]),
        Call("wns.createOrUpdateRawTemplateRegistration", [key_of(3), WNS, TAGS, "{$(m) + '!'}", RAW_WNS]),
        Call("wns.updatesRawTemplateRegistration", [key_of(3), WNS, TAGS, "$(n)", RAW_WNS]),
        Call("wns.listRegistrationsByChannel", [WNS]),
        Call("wns.listRegistrationsByChannel", [WNS, {"top": 1, "skip": 1}]),
    ],
    "mpns": [
        Call("createRegistrationId"),
        Call("mpns.createNativeRegistration", [MPNS, TAGS]),
        Call("mpns.createOrUpdateNativeRegistration", [ID, MPNS, ["hall"]]),
        Call("mpns.createRawTemplateRegistration", [MPNS, TAGS, PHONE_TEMPLATE, PHONE_TOAST]),
        Call(
            "mpns.createOrUpdateRawTemplateRegistration",
            [key_of(3), MPNS, TAGS, PHONE_TEMPLATE, PHONE_TOAST],
        ),
        Call("mpns.updatesRawTemplateRegistration", [key_of(3), MPNS, TAGS, PHONE_TEMPLATE, PHONE_TOAST]),
        Call("mpns.listRegistrationsByChannel", [MPNS]),
        Call("mpns.listRegistrationsByChannel", [MPNS, {"top": 1, "skip": 1}]),
    ],
    "apns": [
        Call("createRegistrationId"),
        Call("apns.createNativeRegistration", [TOKEN, TAGS]),
        Call("apns.createOrUpdateNativeRegistration", [ID, TOKEN, ["hall"]]),
        Call("apns.createTemplateRegistration", [TOKEN, TAGS, {"alert": "$(m)", "expiry": "$(e)"}]),
        Call("apns.createOrUpdateTemplateRegistration", [key_of(3), TOKEN, TAGS, {"alert": "$(m)"}]),
        Call(
            "apns.updateTemplateRegistration",
            [key_of(3), TOKEN, TAGS, {"alert": "$(n)"}, {"headers": {"apns-priority": "5"}}],
        ),
        Call("apns.listRegistrationsByToken", [TOKEN.lower()]),
        Call("apns.listRegistrationsByToken", [TOKEN, {"top": 1, "skip": 1}]),
    ],
    "gcm": [
        Call("createRegistrationId"),
        Call("gcm.createNativeRegistration", [GCM, TAGS]),
        Call("gcm.createOrUpdateNativeRegistration", [ID, GCM, ["hall"]]),
        Call("gcm.createTemplateRegistration", [GCM, TAGS, {"data": {"m": "$(m)"}}]),
        Call("gcm.createOrUpdateTemplateRegistration", [key_of(3), GCM, TAGS, {"data": {"m": "$(m, 5)"}}]),
        Call("gcm.updateTemplateRegistration", [key_of(3), GCM, TAGS, '{"data":{"m":"$(n)"}}']),
        Call("gcm.listRegistrationsByGcmRegistrationId", [GCM]),
        Call("gcm.listRegistrationsByGcmRegistrationId", [GCM, {"top": 1, "skip": 1}]),
    ],
}
"""The same eight calls for each platform."""

INSTALLATION = {
    "installationId": "i-1",
    "platform": "gcm",
    "pushChannel": GCM,
    "tags": ["kitchen"],
    "templates": {"t": {"body": '{"data":{"m":"$(m)"}}'}},
}
HUB = [
    Call("gcm.createTemplateRegistration", [GCM, TAGS, {"data": {"m": "{$(m) + ' ]] <é>'}"}}]),
    Call("getRegistration", [key_of(0)]),
    Call("updateRegistration", [{"$answer": 1}, {"etag": {"$answer": 1, "$member": "ETag"}}]),
    Call("createOrUpdateRegistration", [{"$answer": 2}]),
    Call("listRegistrations"),
    Call("listRegistrations", [{"top": 1, "skip": 3}]),
    Call("listRegistrationsByTag", ["kitchen"]),
    Call("listRegistrationsByTag", ["nobody", {"top": 1, "skip": 3}]),
    Call("deleteRegistration", [key_of(0), {"etag": "1"}]),
    Call("deleteRegistration", [key_of(0)]),
    Call("getRegistration", [key_of(0)]),
    Call("createOrUpdateInstallation", [INSTALLATION]),
    Call("patchInstallation", ["i-1", [{"op": "add", "path": "/tags", "value": "hall"}]]),
    Call("getInstallation", ["i-1"]),
    Call("deleteInstallation", ["i-1"]),
    Call("getInstallation", ["i-1"]),
]
"""Registrations and installations of any platform."""

LAYOUT_CALLS = [
    each
    for layout in LAYOUTS
    for each in (
        Call(f"wns.create{layout.name}", layout.content(), sync=True),
        Call(f"wns.create{layout.name}Registration", [WNS, [layout.name], *layout.content()]),
        Call(
            f"wns.createOrUpdate{layout.name}Registration",
            [f"1-{layout.images}-{layout.texts}", WNS, [layout.name], *layout.content(filled_in=False)],
        ),
        Call(
            f"wns.update{layout.name}Registration",
            [f"1-{layout.images}-{layout.texts}", WNS, [layout.name], *layout.content()],
        ),
        Call(f"wns.send{layout.name}", ["kitchen", *layout.content()]),
    )
]
"""For each layout: made, registered as a template, written anew under an id, updated, sent."""

_PHONE = {"Toast": ["a", "b"], "Tile": ["t"], "FlipTile": ["t"], "Raw": ["r"]}
PHONE_CALLS = [
    each
    for name, content in _PHONE.items()
    for each in (
        Call(f"mpns.create{name}", content, sync=True),
        Call(f"mpns.create{name}Registration", [MPNS, [name], *content]),
        Call(f"mpns.createOrUpdate{name}Registration", ["1-2-3", MPNS, [name], *content]),
        Call(f"mpns.update{name}Registration", ["1-2-3", MPNS, [name], *content]),
        Call(f"mpns.send{name}", ["kitchen", *content]),
    )
]
"""The same for what Windows Phone shows."""

SENDS = [
    Call("send", ["kitchen", {"m": "hello"}]),
    Call("send", [["kitchen", "hall"], '{"m":"hello"}', {"headers": {"apns-priority": "5"}}]),
    Call("send", [None, {"m": "hello"}]),
    Call("wns.send", ["kitchen && !hall", "<toast/>", "wns/toast", {"headers": {"X-WNS-TTL": "60"}}]),
    Call("wns.sendBadge", [None, 7]),
    Call("wns.sendRaw", ["kitchen", "raw é"]),
    Call("apns.send", ["kitchen", {"alert": "hi", "expiry": "2030-01-02T03:04:05Z", "priority": 5}]),
    Call("gcm.send", ["kitchen", {"data": {"m": "hi"}}]),
    Call("mpns.send", ["kitchen", PHONE_TEMPLATE, "toast", "2"]),
]
"""Sends."""

EVERY_CALL = [*chain.from_iterable(PLATFORMS.values()), *HUB, *LAYOUT_CALLS, *PHONE_CALLS, *SENDS]
