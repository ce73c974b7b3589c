"""Every error of the tree, met with secrets planted everywhere: nothing that is shown of it holds one."""

from __future__ import annotations

import json

import keyring
import keyring.errors
import pytest

from nhagent import (
    Installation,
    Platform,
    SecondaryTile,
    errors,
)
from nhagent.channels.simple import from_plugin

from .marks import HANDLES, MARK, PROXY, SIGNATURE, TILE, TOKEN, key_of
from .provoking import (
    Case,
    another_kind,
    before_its_turn,
    captive_portal,
    client_conflict,
    cut,
    damaged_state,
    document_of_another,
    elsewhere,
    failing,
    gone_again,
    held_back,
    invalid_by_any_platform,
    key_ring,
    late,
    listen_string_as,
    locked_state,
    no_http,
    raising_in_turn,
    record_missing,
    refused_token,
    refused_write,
    settings_wrong,
    source_that_fails,
    tls_of_a_stranger,
    token_callable,
    unregistering,
    unwritable_state,
)
from .world import STYLES, WNS, Cursed, World, raised, raising

BRANCHES = {errors.NhagentError, errors.StateError, errors.HubError}


CASES: dict[type[errors.NhagentError], dict[str, Case]] = {
    errors.ConfigurationError: {
        "a tile with the device's channel": settings_wrong(
            channel=WNS, secondary_tiles={"weather": SecondaryTile(channel=WNS)}
        ),
        "a handle that is no Apple token": settings_wrong(platform="apns", channel=WNS),
        "a handle of two lines": settings_wrong(channel=f"{WNS}\n{TILE}"),
        "half a subscription": settings_wrong(platform="browser", channel={"endpoint": HANDLES["gcm"]}),
        "connection string as hub": listen_string_as("hub"),
        "connection string as app": listen_string_as("app", lambda text: f"{text}\n"),
        "key as app": listen_string_as("app", lambda text: text.rpartition(";")[2]),
        "connection string as installation id": listen_string_as("installation_id"),
        "key as installation id": listen_string_as("installation_id", lambda text: text.rpartition(";")[2]),
        "token as installation id": settings_wrong(installation_id=TOKEN),
        "token without its name as installation id": settings_wrong(installation_id=TOKEN.split("&")[1]),
        "connection string as user id": listen_string_as("user_id"),
        "key as user id": settings_wrong(user_id=f"SharedAccessKey={MARK}="),
        "token as a tag": settings_wrong(tags=[TOKEN.split("&")[1]]),
        "connection string as endpoint": listen_string_as("endpoint"),
        "connection string as platform": listen_string_as("platform"),
        "connection string as state folder": listen_string_as("state_dir"),
        "connection string as CA": listen_string_as("ca_bundle"),
        "key without its name": listen_string_as("connection_string", key_of),
        "half a connection string": listen_string_as("connection_string", lambda it: it.partition(";")[2]),
        "another hub's": listen_string_as("connection_string", lambda text: f"{text};EntityPath=another"),
    },
    errors.CredentialError: {
        "a key of more than Listen": lambda world, _: raised(
            lambda: world.agent(connection_string=world.hub.full)
        ),
        "a token callable that fails": token_callable(raising(Cursed())),
        "a token callable that raises our own": token_callable(
            raising_in_turn(errors.CredentialError(f"{TOKEN} for {WNS} by SharedAccessKey={MARK}"))
        ),
        "a token callable that gives something else": token_callable(lambda: SIGNATURE),
        "a token with a line break": token_callable(lambda: f"{TOKEN}\nX: y"),
        "a key ring that fails": key_ring(RuntimeError),
        "a key ring that quotes a key": key_ring(RuntimeError, lambda text: f"bad padding in {key_of(text)}"),
        "a key ring that is not set up": key_ring(keyring.errors.InitError),
    },
    errors.KeyringLocked: {"a key ring that is locked": key_ring(keyring.errors.KeyringLocked)},
    errors.StateUnreadable: {"a state that makes no sense": damaged_state},
    errors.StateLocked: {"a state at which another is at work": locked_state},
    errors.StateUnwritable: {"a folder that cannot be": unwritable_state},
    errors.ChannelError: {
        "a source that fails": source_that_fails(raising(Cursed())),
        "a source that fails in turn": source_that_fails(raising(KeyError(WNS))),
        "a source that exits": source_that_fails(raising(SystemExit(f"no {WNS}"))),
        "a source that calls a client": source_that_fails(
            lambda: Installation("a", Platform.APNS, HANDLES["gcm"])
        ),
        "a source that gives two lines": source_that_fails(lambda: f"{WNS}\n{TILE}"),
        "a source that gives a list": source_that_fails(lambda: [WNS]),
        "a source of another platform": source_that_fails(
            lambda: HANDLES["gcm"], platform="apns", templates={}, secondary_tiles={}
        ),
        "half a subscription": source_that_fails(
            lambda: json.dumps({"endpoint": HANDLES["browser"]["endpoint"]}),
            platform="browser", templates={}, secondary_tiles={},
        ),
        "a plug-in that is not there": source_that_fails(from_plugin("no_such_module:channel")),
    },
    errors.InvalidRequest: {
        "400": failing(400),
        "413": failing(413),
        "400 on a later write": refused_write(400),
        "400 of a deletion": unregistering,
        **{f"400 for {platform}": invalid_by_any_platform(platform) for platform in HANDLES},
    },
    errors.Unauthorized: {
        "401": failing(401),
        "401 of a token callable": refused_token,
    },
    errors.Forbidden: {"403": failing(403)},
    errors.QuotaExceeded: {"403 of a quota": failing(403, "The quota is exceeded")},
    errors.HubNotFound: {"404 of the hub": failing(404, "No service is hosted here")},
    errors.RecordNotFound: {"404 of a record": record_missing},
    errors.RegistrationGone: {"410": gone_again},
    errors.ConcurrencyConflict: {"412": client_conflict},
    errors.Throttled: {
        "429": failing(429, Retry_After="7"),
        "403 with Retry-After": failing(403, Retry_After="7"),
        "409": failing(409),
    },
    errors.HeldBack: {"before its turn after the boot": before_its_turn, "429 before": held_back},
    errors.HubUnavailable: {
        "408": failing(408),
        "500": failing(500),
        "503 on a later write": refused_write(503),
        "redirect": failing(302, Location=f"https://elsewhere.example/{MARK}"),
        "captive portal": captive_portal,
        "another kind": another_kind,
        "document of another": document_of_another,
        "no reply": cut(0),
        "half a head": cut(40),
        "half a body": cut(420),
        "late": late,
        "no HTTP": no_http,
        "TLS of a stranger": tls_of_a_stranger,
        "dead address": elsewhere("sb://127.0.0.1:9/"),
        "dead DNS": elsewhere("sb://no-such-host.invalid/"),
        "no host": elsewhere("sb://no-such-host.invalid/"),
        "dead proxy": elsewhere("sb://no-such-host.invalid/", HTTPS_PROXY=PROXY),
        "proxy that cannot be read": elsewhere(
            "sb://no-such-host.invalid/", HTTPS_PROXY=f"http://{MARK}User:{MARK}/{MARK}@proxy.example:80"
        ),
        "proxy with no port": elsewhere(
            "sb://no-such-host.invalid/", HTTPS_PROXY=f"http://proxy.example:{MARK}"
        ),
        "proxy of another scheme": elsewhere(
            "sb://no-such-host.invalid/", HTTPS_PROXY=f"{MARK}://u:{MARK}@proxy.example:1"
        ),
        "token callable that calls a client": token_callable(
            raising_in_turn(errors.HubUnavailable(f"no {TOKEN}", detail=f"at {WNS} with {TOKEN}"))
        ),
        "token callable without its backend": token_callable(raising(OSError(f"no {TOKEN} at {WNS}"))),
    },
}  # fmt: skip
FLAT = [
    (kind, name, style)
    for kind, cases in CASES.items()
    for name in cases
    for style in (STYLES if issubclass(kind, errors.HubError) else STYLES[:1])
]


def tree() -> set[type[errors.NhagentError]]:
    found: list[type[errors.NhagentError]] = [errors.NhagentError]
    for kind in found:
        found += kind.__subclasses__()
    return {kind for kind in found if kind.__module__ == errors.__name__}


def test_every_error_of_the_tree_is_provoked() -> None:
    assert tree() - BRANCHES == CASES.keys()
    for kind in BRANCHES:
        assert kind.__subclasses__(), "a class that nothing branches off is raised itself"


@pytest.mark.parametrize(
    ("kind", "name", "style"), FLAT, ids=[f"{kind.__name__}: {name}: {style}" for kind, name, style in FLAT]
)
def test_error_is_met_and_no_secret_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: type[errors.NhagentError], name: str, style: str
) -> None:
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    world.style = style
    error = CASES[kind][name](world, monkeypatch)
    assert type(error) is kind, repr(error)
    world.check_error(error)
    world.hub.clear_faults()
    world.check(repr(world.agent().status()), "a status")
    world.check_rest()
