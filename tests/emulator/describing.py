"""Writing registrations as clients send them, and reading what the hub answers."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any
from urllib.parse import quote

from .caller import Answer, Caller

ATOM = "http://www.w3.org/2005/Atom"
CONTRACT = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
VERSION = "api-version=2020-06"

HANDLES = {
    "Windows": "<ChannelUri>https://wns/?a=1&amp;b=2</ChannelUri>",
    "Mpns": "<ChannelUri>https://mpns/1</ChannelUri>",
    "Apple": "<DeviceToken>AB12</DeviceToken>",
    "Gcm": "<GcmRegistrationId>gcm:1</GcmRegistrationId>",
    "FcmV1": "<FcmV1RegistrationId>fcm:1</FcmV1RegistrationId>",
    "Adm": "<AdmRegistrationId>amzn1.1</AdmRegistrationId>",
    "Baidu": "<BaiduUserId>user</BaiduUserId><BaiduChannelId>channel</BaiduChannelId>",
    "Browser": "<Endpoint>https://b/1</Endpoint><P256DH>key</P256DH><Auth>secret</Auth>",
    "Xiaomi": "<XiaomiRegistrationId>mi/1</XiaomiRegistrationId>",
}
WNS_HEADERS = (
    "<WnsHeaders><WnsHeader><Header>X-WNS-Type</Header><Value>wns/toast</Value></WnsHeader></WnsHeaders>"
)
MPNS_HEADERS = (
    "<MpnsHeaders><MpnsHeader><Header>X-NotificationClass</Header><Value>2</Value></MpnsHeader>"
    "<MpnsHeader><Header>X-WindowsPhone-Target</Header><Value>toast</Value></MpnsHeader></MpnsHeaders>"
)
APNS_HEADERS = (
    "<ApnsHeaders><ApnsHeader><Header>apns-priority</Header><Value>5</Value></ApnsHeader></ApnsHeaders>"
)
BODY = '<BodyTemplate><![CDATA[{"m":"$(m)"}]]></BodyTemplate>'
XML_BODY = "<BodyTemplate><![CDATA[<t>$(m)</t>]]></BodyTemplate>"
NAME = "<TemplateName>alert</TemplateName>"
TEMPLATES = {
    **dict.fromkeys(HANDLES, BODY + NAME),
    "Windows": XML_BODY + WNS_HEADERS + NAME,
    "Mpns": XML_BODY + MPNS_HEADERS + NAME,
    "Apple": f"{BODY}<Expiry>$(when)</Expiry>{NAME}<Priority>5</Priority>{APNS_HEADERS}",
    "Baidu": f"{BODY}{NAME}<MessageType>1</MessageType>",
}


def described(kind: str, elements: str) -> str:
    """An entry that holds a description of this type, its elements as they are."""
    name = f"{kind}RegistrationDescription"
    return wrapped(f'<{name} xmlns="{CONTRACT}" xmlns:i="{INSTANCE}">{elements}</{name}>')


def wrapped(description: str) -> str:
    return f'<entry xmlns="{ATOM}"><content type="application/xml">{description}</content></entry>'


def native(platform: str = "Windows", base: str = "") -> str:
    return described(platform, base + HANDLES[platform])


def template(platform: str = "Windows", base: str = "") -> str:
    return described(f"{platform}Template", base + HANDLES[platform] + TEMPLATES[platform])


def windows(channel: str, tags: str = "") -> str:
    return described(
        "Windows", (f"<Tags>{tags}</Tags>" if tags else "") + f"<ChannelUri>{channel}</ChannelUri>"
    )


def description_of(reply: Answer) -> str:
    """The elements inside the description of a reply, as they stand."""
    assert reply.status == 200, reply.text
    content = reply.text.partition('<content type="application/xml">')[2].rpartition("</content>")[0]
    return content.partition(">")[2].rpartition("</")[0]


def without_own(elements: str) -> str:
    """Elements without the three that the hub adds."""
    return elements.partition("</RegistrationId>")[2]


def ids_of(reply: Answer) -> list[str]:
    """The ids in a feed."""
    assert reply.status == 200, reply.text
    titles = ET.fromstring(reply.body).findall(f"{{{ATOM}}}entry/{{{ATOM}}}title")
    return [str(title.text) for title in titles]


def texts_of(reply: Answer, element: str) -> list[str | None]:
    """The texts of an element of all descriptions in a reply; None where it is absent."""
    contents = ET.fromstring(reply.body).iter(f"{{{ATOM}}}content")
    return [content[0].findtext(f"{{{CONTRACT}}}{element}") for content in contents]


def post(hub: Caller, body: str | bytes) -> Answer:
    return hub.send("POST", f"/{hub.hub}/registrations?{VERSION}", coded(body))


def coded(body: str | bytes | None) -> bytes | None:
    """http.client would code text as Latin-1."""
    return body.encode() if isinstance(body, str) else body


def created(hub: Caller, body: str | bytes) -> str:
    """The id of a new registration."""
    reply = post(hub, body)
    assert reply.status == 200, reply.text
    return str(ET.fromstring(reply.body).findtext(f"{{{ATOM}}}title"))


def on(
    hub: Caller, method: str, registration_id: str, body: Any = None, if_match: str | None = None
) -> Answer:
    headers = {} if if_match is None else {"If-Match": if_match}
    return hub.send(
        method, f"/{hub.hub}/registrations/{registration_id}?{VERSION}", coded(body), headers=headers
    )


def filtered(hub: Caller, text: str) -> Answer:
    """A list by a filter, coded once."""
    return hub.send("GET", f"/{hub.hub}/registrations?{VERSION}&$filter={quote(text, safe='')}")
