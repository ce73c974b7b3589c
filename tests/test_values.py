"""Values are validated where they are made; each error names the field, the value and the rule."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent import (
    KEEP,
    BrowserChannel,
    ConnectionString,
    Drift,
    HeldRegistration,
    Installation,
    Outcome,
    Plan,
    Platform,
    Registration,
    Report,
    SecondaryTile,
    Step,
    Template,
    Verification,
    errors,
)
from nhagent.errors import (
    ChannelError,
    ConfigurationError,
    HeldBack,
    HubError,
    HubUnavailable,
    NhagentError,
)
from nhagent.models import altered, fingerprint, unvalidated
from tests.subscriptions import AUTH, KEYS, P256DH

WNS: dict[str, Any] = {
    "installation_id": "device",
    "platform": "wns",
    "push_channel": "https://push.example/1",
}
NOW = datetime(2030, 1, 1, tzinfo=UTC)
ERRORS = [getattr(errors, name) for name in errors.__all__]
XML, WNS_TOAST = "<toast/>", {"X-WNS-Type": "wns/toast"}
SUBSCRIPTION = {
    "endpoint": "https://push.example/1",
    "expirationTime": None,
    "keys": KEYS,
}


@pytest.mark.parametrize("text", ["wns", "WNS", " fcmV1 ", "FcmV1", "Apns", "browser", "xiaomi", "BAIDU"])
def test_platforms_are_read_without_regard_to_case(text: str) -> None:
    assert Platform.parse(text) == text.strip().lower()


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"platform": "fcm"}, "platform 'fcm'.*\"fcmv1\""),
        ({"platform": 7}, "platform 7"),
        ({"tags": ["two words"]}, "tags 'two words': .*letters, digits"),
        ({"tags": ["a,b"]}, "tags 'a,b'"),
        ({"tags": ["größe"]}, "tags 'größe'"),
        ({"tags": [""]}, "tags ''"),
        ({"tags": ["$UserId:{ann}"]}, r'tags .*begins with "\$"'),
        ({"tags": ["x" * 121]}, "121 characters; at most 120"),
        ({"tags": [f"t{number}" for number in range(61)]}, "61 tags; .*at most 60"),
        ({"tags": "kitchen"}, "tags 'kitchen': not a list; give a list"),
        ({"tags": [5]}, "tags 5: not text; give text"),
        ({"user_id": "two words"}, "user_id 'two words'"),
        ({"push_variables": {"a b": "x"}}, "push_variables 'a b'"),
        ({"push_variables": {"a": 1}}, "push_variables 'a': its name or its value is not text"),
        ({"push_channel": ""}, "push_channel: empty"),
        ({"push_channel": "one\ntwo"}, "push_channel: holds a line break"),
        ({"push_channel": None}, "push_channel: NoneType"),
        ({"platform": "apns", "push_channel": "xyz"}, "push_channel #.*not an Apple device token"),
        ({"platform": "apns", "push_channel": "abc"}, "not an Apple device token"),
        ({"platform": "browser", "push_channel": "https://push.example/1"}, "endpoint, p256dh, auth missing"),
        ({"installation_id": ""}, "installation_id: empty"),
        ({"installation_id": ".."}, "installation_id '..': cannot stand in a URL"),
        ({"installation_id": "a\nb"}, "cannot stand in a URL"),
        ({"installation_id": "x" * 600}, "600 characters"),
        ({"templates": {"t": Template(XML)}}, r"templates\['t'\].headers: X-WNS-Type is missing"),
        ({"templates": {"t": Template(XML, headers={"X-WNS-Type": "wns/smoke"})}}, "X-WNS-Type is wns/smoke"),
        ({"templates": {"t": Template("{}", headers=WNS_TOAST)}}, r"templates\['t'\].body: must be XML"),
        ({"templates": {"t": Template(XML, headers=WNS_TOAST, expiry="0")}}, "expiry: only apns has one"),
        (
            {"templates": {"a/b": Template(XML, headers=WNS_TOAST)}},
            "'a/b': not a valid name; a name may contain",
        ),
        ({"templates": {"t": "<toast/>"}}, r"templates\['t'\]: is not a Template"),
        (
            {"platform": "fcmv1", "push_channel": "c:1", "templates": {"t": Template(XML)}},
            r"templates\['t'\].body: platform fcmv1 needs a JSON object",
        ),
        (
            {"platform": "fcmv1", "push_channel": "c:1", "templates": {"t": Template("[1]")}},
            "needs a JSON object",
        ),
        (
            {
                "platform": "fcmv1",
                "push_channel": "c:1",
                "templates": {"t": Template("{}", headers={"a": "b"})},
            },
            "takes none",
        ),
        (
            {
                "platform": "apns",
                "push_channel": "ab",
                "templates": {"t": Template("{}", headers={"a": "b"})},
            },
            "begin with",
        ),
        ({"platform": "mpns", "templates": {"t": Template(XML)}}, "X-WindowsPhone-Target is missing"),
        (
            {"platform": "fcmv1", "push_channel": "c:1", "secondary_tiles": {"w": SecondaryTile("x")}},
            "platform fcmv1 has none",
        ),
        ({"secondary_tiles": {"w": SecondaryTile()}}, r"secondary_tiles\['w'\].channel: NoneType"),
        ({"secondary_tiles": {"w": SecondaryTile(WNS["push_channel"])}}, "push channel of the device too"),
        (
            {"secondary_tiles": {"v": SecondaryTile("https://x"), "w": SecondaryTile("https://x/")}},
            r"of secondary_tiles\['v'\]",
        ),
        ({"expiration_time": datetime(2030, 1, 1)}, "expiration_time: has no time zone"),  # noqa: DTZ001
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_wrong_installation_is_refused(changes: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigurationError, match=names) as caught:
        Installation(**{**WNS, **changes})
    assert caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"body": " "}, "template body: empty"),
        ({"body": "{}", "tags": ["a b"]}, "template tags 'a b'"),
        ({"body": "{}", "headers": {"a": 1}}, "template headers 'a'"),
        ({"body": "{}", "expiry": 5}, "template expiry 5"),
    ],
)
def test_wrong_template_is_refused(arguments: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigurationError, match=names) as caught:
        Template(**arguments)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("platform", "template"),
    [
        ("wns", Template("anything", headers={"x-wns-type": "WNS/raw"})),
        ("wns", Template(XML, headers=WNS_TOAST)),
        ("mpns", Template(XML, headers={"X-WindowsPhone-Target": "toast"})),
        ("mpns", Template("raw", headers={"X-NotificationClass": "3"})),
        ("apns", Template('{"aps": {"badge": "#(n)"}}', headers={"apns-priority": "5"}, expiry="$(when)")),
        ("adm", Template('{"data": {"m": "$(m)"}}')),
    ],
)
def test_right_templates_are_taken(platform: str, template: Template) -> None:
    channel = {"apns": "abcd", "wns": "https://x/", "mpns": "https://x/"}.get(platform, "x")
    made = Installation("device", Platform(platform), channel, templates={"t": template})
    assert made.templates["t"] == template


def test_tag_given_twice_counts_once_as_the_hub_counts_it() -> None:
    assert Installation(**WNS, tags=["a", "B", "A", "b"]).tags == ("a", "B")


def test_browser_subscription_is_taken_as_the_browser_gives_it() -> None:
    flat = BrowserChannel("https://push.example/1", P256DH, AUTH)
    assert BrowserChannel.parse(SUBSCRIPTION) == flat
    assert (
        BrowserChannel.parse(f'{{"Endpoint":"https://push.example/1","P256DH":"{P256DH}","auth":"{AUTH}"}}')
        == flat
    )
    with pytest.raises(ConfigurationError, match="https:// URL"):
        BrowserChannel("http://push.example/1", P256DH, AUTH)
    with pytest.raises(ConfigurationError, match="auth is not a secret of 16 bytes"):
        BrowserChannel("https://push.example/1", P256DH, "not base64!")


def test_values_cannot_be_changed_afterwards() -> None:
    headers = dict(WNS_TOAST)
    template = Template(XML, headers=headers)
    headers["X-WNS-Type"] = "changed"
    assert template.headers == WNS_TOAST
    with pytest.raises(TypeError):
        template.headers["x"] = "y"  # type: ignore[index]


@given(st.text("abcXYZ019-_:", min_size=9))
def test_channels_show_as_fingerprints_alone(handle: str) -> None:
    shown = repr(Installation("device", Platform.GCM, f"x{handle}y"))
    assert f"x{handle}y" not in shown
    subscription = BrowserChannel("https://push.example/1", P256DH, AUTH)
    assert repr(subscription) == f"<browser channel {fingerprint(subscription)}>"


@given(st.text())
def test_whatever_text_is_given_as_a_tag_is_taken_as_it_is_or_refused(text: str) -> None:
    try:
        made = Installation(**WNS, tags=[text])
    except ConfigurationError as error:
        assert repr(text)[:100] in str(error)
    else:
        assert made.tags == (text,)


def test_what_only_looks_like_a_key_is_taken() -> None:
    for name in ("signal=5", "design=2", "SharedAccessKeys", "sig"):
        assert Installation(**{**WNS, "installation_id": name}).installation_id == name


VALUES = [
    Template(XML, WNS_TOAST, ["a"]),
    SecondaryTile("x", ["a"], {"t": Template(XML, WNS_TOAST)}),
    Installation(
        **WNS,
        push_variables={"a": "b"},
        secondary_tiles={"w": SecondaryTile("https://x/", ["a"])},
        tags=["a", "b"],
    ),
    Registration(Platform.WNS, "https://x/", template=Template(XML, WNS_TOAST), template_name="t"),
    HeldRegistration(
        platform=Platform.WNS,
        channel="https://x/",
        tags=("$InstallationId:{a}",),
        registration_id="1",
        etag="2",
    ),
    BrowserChannel("https://push.example/1", P256DH, AUTH),
    Report(
        Outcome.WAITING,
        HubUnavailable("no answer", "wait", status=503, retry_after=5.0),
        registration_ids={"native": "1"},
        steps=("PUT",),
        channel_errors={"channel": ChannelError("channel: none", pending=True)},
        next_attempt=datetime(2030, 1, 1, tzinfo=UTC),
    ),
    Plan((Step("PUT", "installation", "a", "changed", ("tags",)),), {"channel": ChannelError("none")}),
    Verification(False, (Drift("installation", "tags", "a", "b"),), ("channel",)),
]


@pytest.mark.parametrize(
    "error",
    [
        *[kind("a fact", "a hint") for kind in ERRORS],
        HubError("a", "b", status=429, detail="d", tracking_id="t", retry_after=1.5, server_time=NOW),
        HeldBack("a", "b", not_before=NOW, status=429),
        ChannelError("a", "b", pending=True),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_survives_copy_and_pickle(error: NhagentError) -> None:
    for again in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert (str(again), again.fact, again.hint, vars(again)) == (
            str(error),
            error.fact,
            error.hint,
            vars(error),
        )
        assert (again, hash(again)) == (error, hash(error))
    assert error != type(error)("another fact", "a hint")
    assert error != Exception("a fact", "a hint")


def test_what_was_left_out_is_still_left_out_after_copy_and_pickle() -> None:
    for again in (copy.copy(KEEP), copy.deepcopy(KEEP), pickle.loads(pickle.dumps(KEEP))):
        assert again is KEEP


def test_tags_are_tuples_however_they_were_given() -> None:
    for tags in (["a", "b"], ("a", "b"), iter("ab"), {"a": 1, "b": 2}):
        assert Template("{}", tags=tags).tags == ("a", "b")
    assert Registration("gcm", "handle", ["a"]).tags == SecondaryTile(tags=["a"]).tags == ("a",)
    assert Installation(**WNS, tags=["a"]).tags == ("a",)


def test_connection_string_is_a_frozen_dataclass_whose_key_is_neither_shown_nor_pickled() -> None:
    value = ConnectionString.parse(
        "Endpoint=sb://ns.example;SharedAccessKeyName=listen;SharedAccessKey=marked"
    )
    twins = (dataclasses.replace(value), copy.copy(value), copy.deepcopy(value), value.__replace__())
    for again in (*twins, ConnectionString("https://ns.example", "listen", "marked")):
        assert (again, hash(again), again.key.reveal()) == (value, hash(value), "marked")
    assert dataclasses.replace(value, key_name="other") != value
    for shown in (value, vars(value), dataclasses.asdict(value), dataclasses.astuple(value), value.key):
        assert "marked" not in f"{shown} {shown!r} {shown}"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="a secret cannot be pickled"):
            pickle.dumps([value], protocol)
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.key = value.key  # type: ignore[misc]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_public_value_is_a_frozen_dataclass(value: Any) -> None:
    assert dataclasses.is_dataclass(type(value))
    names = [part.name for part in dataclasses.fields(value)]
    assert list(inspect.signature(type(value)).parameters) == names
    assert dataclasses.asdict(value).keys() == set(names)
    for again in (
        dataclasses.replace(value),
        copy.copy(value),
        copy.deepcopy(value),
        pickle.loads(pickle.dumps(value)),
    ):
        assert (again, hash(again), repr(again)) == (value, hash(value), repr(value))
    for name in names:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, None)
        with pytest.raises(dataclasses.FrozenInstanceError):
            delattr(value, name)


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), ((), {"x": 1}), ((XML,), {"x": 1}), ((XML,), {"body": XML}), ((XML, {}, (), None, 5), {})],
)
def test_constructor_takes_its_fields_alone(values: Any, named: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="Template"):
        Template(*values, **named)


def test_what_was_not_declared_here_is_not_judged_by_our_rules() -> None:
    of_a_hub = unvalidated(Template, body="", tags=("two words",), headers={"x": "y"})
    assert (of_a_hub.body, of_a_hub.expiry) == ("", None)
    changed = altered(of_a_hub, tags=("a b", "c"), headers={"x": "z"})
    assert (changed.tags, changed.headers, of_a_hub.tags) == (("a b", "c"), {"x": "z"}, ("two words",))
    for value in (of_a_hub, changed):
        with pytest.raises(TypeError):
            value.headers["x"] = "changed"  # type: ignore[index]
        with pytest.raises(ConfigurationError):
            dataclasses.replace(value)
    with pytest.raises(TypeError, match="no such fields"):
        altered(of_a_hub, color="red")
