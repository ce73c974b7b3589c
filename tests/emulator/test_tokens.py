from __future__ import annotations

import base64
import re
import time
from urllib.parse import quote, unquote, urlsplit

import pytest

from nhagent.emulator import Emulator

from .caller import Answer, Caller, fields, sign, styled, wns

TARGET = "/my-hub/installations/i?api-version=2020-06"
SOON = int(time.time()) + 3600


def ask(hub: Caller, authorization: str, target: str = TARGET) -> Answer:
    return hub.send("GET", target, headers={"Authorization": authorization})


def words(reply: Answer) -> str:
    return reply.text.partition("<Detail>")[2].partition(".TrackingId:")[0]


@pytest.mark.parametrize("style", ["net", "java", "javascript", "android", "ios"])
@pytest.mark.parametrize("installation_id", ["i", "AbC-1", "a b/ö"])
def test_the_token_of_every_official_client_is_accepted(
    hub: Caller, style: str, installation_id: str
) -> None:
    hub.put({**wns(), "installationId": installation_id})
    target = f"/my-hub/installations/{quote(installation_id, safe='')}?api-version=2020-06"
    resource = styled(style, hub.endpoint + target)
    assert ask(hub, sign(hub.connection_string, resource, SOON), target).status == 200


@pytest.mark.parametrize(
    "resource",
    [
        "{}",
        "{}/",
        "{}/my-hub",
        "{}/MY-HUB/",
        "{}/my-hub/installations",
        "{}/my-hub/installations/i",
        "{}/my-hub/installations/i/?api-version=2020-06",
        "sb://127.0.0.1/my-hub",
        "127.0.0.1/my-hub",
        "https://127.0.0.1:1/my-hub",
    ],
)
def test_any_resource_at_or_above_the_request_is_accepted(hub: Caller, resource: str) -> None:
    hub.put(wns())
    for coded in (quote(resource.format(hub.endpoint), safe=""), resource.format(hub.endpoint)):
        assert ask(hub, sign(hub.connection_string, coded, SOON)).status == 200


@pytest.mark.parametrize(
    "resource",
    [
        "{}/my-hu",
        "{}/other-hub",
        "{}/my-hub/installations/j",
        "{}/my-hub/installations/i/x",
        "http://127.0.0.2/my-hub",
        "http://127.0.0.1.example.com/",
        "/my-hub",
    ],
)
def test_a_resource_beside_or_below_the_request_is_refused(hub: Caller, resource: str) -> None:
    hub.put(wns())
    coded = quote(resource.format(hub.endpoint), safe="")
    reply = ask(hub, sign(hub.connection_string, coded, SOON))
    assert reply.status == 401
    assert words(reply).split(":")[0] in ("InvalidAudience", "MalformedToken")


def test_the_fields_may_stand_in_any_order_and_the_signature_in_any_coding(hub: Caller) -> None:
    hub.put(wns())
    resource = quote(hub.endpoint + "/", safe="")
    # Of twenty signatures several hold "+" and "/".
    for expiry in range(SOON, SOON + 20):
        _, _, text = sign(hub.connection_string, resource, expiry).partition(" ")
        parts = dict(part.split("=", 1) for part in text.split("&"))
        uncoded = unquote(parts["sig"]).replace("+", "%2B")
        for signature in (uncoded, re.sub("%..", lambda coded: coded[0].lower(), parts["sig"])):
            token = f"sharedaccesssignature sig={signature}&skn={parts['skn']}&se={expiry}&sr={resource}"
            assert ask(hub, token).status == 200


def uncoded(token: str, *, keep: str) -> str:
    """The token with its signature as base64 has it, but for some characters."""
    head, _, rest = token.partition("&sig=")
    signature, _, rest = rest.partition("&")
    text = "".join(quote(letter, safe="") if letter in keep else letter for letter in unquote(signature))
    return f"{head}&sig={text}&{rest}"


def test_a_raw_slash_in_a_signature_passes_and_a_raw_plus_only_at_a_lenient_hub(
    hub: Caller, lenient_hub: Caller
) -> None:
    for caller in (hub, lenient_hub):
        caller.put(wns())
        resource = quote(caller.endpoint + "/", safe="")
        tokens = [sign(caller.connection_string, resource, expiry) for expiry in range(SOON, SOON + 40)]
        with_plus = [token for token in tokens if "%2B" in token]
        assert with_plus
        assert any("%2F" in token for token in tokens)
        for token in tokens:
            assert ask(caller, uncoded(token, keep="+")).status == 200
        for token in with_plus:
            raw = uncoded(token, keep="/=")
            coded = (token.replace("%2B", other) for other in ("+", " ", "%20"))
            for spoilt in (raw, raw.replace("+", " "), *coded):
                reply = ask(caller, spoilt)
                if caller is lenient_hub:
                    assert reply.status == 200
                else:
                    assert reply.status == 401
                    assert words(reply) == "InvalidSignature: The token has an invalid signature."


def test_credentials_that_are_no_token_are_refused_in_the_services_words(
    hub: Caller, lenient_hub: Caller
) -> None:
    for caller in (hub, lenient_hub):
        for credentials in (caller.connection_string, f"Bearer {caller.connection_string}", "Basic dTpw"):
            reply = ask(caller, credentials)
            assert reply.status == 401
            assert words(reply) == (
                "MalformedToken: The credentials contained in the authorization header "
                "are not in the WRAP format."
            )


def test_a_request_without_a_token_is_refused(hub: Caller) -> None:
    reply = hub.send("GET", TARGET, sign_it=False)
    assert reply.status == 401
    assert words(reply) == "MissingToken: The authorization header was not found."


@pytest.mark.parametrize(
    "header",
    [
        "Bearer abc",
        "SharedAccessSignature",
        "SharedAccessSignature nonsense",
        "SharedAccessSignature sr=a&sig=b&se=1",
        "SharedAccessSignature sr=a&sig=b&se=soon&skn=k",
        "SharedAccessSignature sr=a&sr=a&sig=b&se=1&skn=k",
        "SharedAccessSignature sr=&sig=b&se=1&skn=k",
    ],
)
def test_a_header_that_is_no_token_is_malformed(hub: Caller, header: str) -> None:
    reply = ask(hub, header)
    assert reply.status == 401
    assert words(reply).startswith("MalformedToken: ")


def test_a_token_signed_with_another_key_is_refused(hub: Caller) -> None:
    known = fields(hub.connection_string)["SharedAccessKey"]
    other = hub.connection_string.replace(known, base64.b64encode(b"x" * 32).decode())
    unknown = hub.connection_string.replace("DefaultListen", "Other")
    for connection_string in (other, unknown):
        reply = ask(hub, sign(connection_string, quote(hub.endpoint, safe=""), SOON))
        assert reply.status == 401
        assert words(reply) == "InvalidSignature: The token has an invalid signature."


@pytest.mark.parametrize("field", ["sr", "se"])
def test_a_token_changed_after_signing_is_refused(hub: Caller, field: str) -> None:
    token = hub.token().replace(f"{field}=", f"{field}=1")
    reply = ask(hub, token)
    assert reply.status == 401
    assert words(reply).startswith("InvalidSignature")


def test_a_token_expires_by_the_hubs_clock(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns())
    token = hub.token(lifetime=60)
    assert ask(hub, token).status == 200
    emulator.set_clock(61)
    reply = ask(hub, token)
    assert reply.status == 401
    assert words(reply) == "ExpiredToken: "
    emulator.set_clock(0)
    assert ask(hub, token).status == 200
    assert ask(hub, hub.token(lifetime=-1)).status == 401
    emulator.set_clock(-3600)
    assert ask(hub, hub.token(lifetime=-1)).status == 200


def test_the_token_is_judged_before_hub_and_address(hub: Caller) -> None:
    for target in ("/other-hub/installations/i?api-version=2020-06", "/my-hub/nothing", "/"):
        assert hub.send("GET", target, sign_it=False).status == 401


@pytest.mark.parametrize("method", ["PUT", "GET", "PATCH", "DELETE"])
def test_a_key_without_listen_gets_an_empty_403(method: str) -> None:
    with (
        Emulator(rules={"SendOnly": ["Send"], "ManageOnly": ["Manage"]}) as emulator,
        Caller(emulator.endpoint, emulator.connection_string("SendOnly"), emulator.hub) as hub,
    ):
        reply = hub.installation(method, "i", None)
        assert (reply.status, reply.body, reply.headers["Content-Length"]) == (403, b"", "0")
        assert reply.headers["TrackingId"]
        assert "Retry-After" not in reply.headers
        assert [entry.key for entry in emulator.log()] == ["SendOnly"]


def test_the_full_key_does_what_the_listen_key_does(emulator: Emulator) -> None:
    with Caller(emulator.endpoint, emulator.full, emulator.hub) as hub:
        assert hub.put(wns()).status == 200
        assert hub.delete().status == 204


def test_the_host_header_decides_which_audience_is_right(hub: Caller) -> None:
    hub.put(wns())
    token = sign(hub.connection_string, quote("https://ns.servicebus.windows.net/", safe=""), SOON)
    headers = {"Authorization": token, "Host": "NS.servicebus.windows.net:443"}
    assert hub.send("GET", TARGET, headers=headers).status == 200
    assert ask(hub, token).status == 401


def test_keys_are_random_and_44_characters_long(emulator: Emulator) -> None:
    with Emulator() as other:
        keys = {
            fields(text)["SharedAccessKey"]
            for text in (emulator.listen, emulator.full, other.listen, other.full)
        }
    assert len(keys) == 4
    assert all(len(base64.b64decode(key, validate=True)) == 32 and len(key) == 44 for key in keys)
    assert urlsplit(fields(emulator.listen)["Endpoint"]).netloc == urlsplit(emulator.endpoint).netloc
