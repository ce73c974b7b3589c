"""Whoever answers in a hub's place may write what takes longest to read: it takes work in proportion."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nhagent import Installation, Platform, Template
from nhagent.errors import HubError
from nhagent.hub.atom import NotARegistration, from_entry, from_feed
from nhagent.hub.causes import cause_of
from nhagent.hub.checked import etag_from
from nhagent.hub.held import HeldRegistration
from nhagent.hub.installations import NotAnInstallation, from_json
from nhagent.hub.markup import escaped
from nhagent.hub.registration_operations import RegistrationOperations
from nhagent.hub.replies import MAX_READ_CHARACTERS, HubReply, raise_for_error, read_facts
from nhagent.hub.texts import is_web_page, split_tags, split_tracking
from nhagent.hub.times import read_http_date, read_moment, read_retry_after
from nhagent.hub.transport import Response
from nhagent.hub.way import HubRequest
from nhagent.hub.web_pages import _parts_of
from nhagent.models import unvalidated
from nhagent.redaction import in_prose, redacted
from nhagent.registrars.adoption import declared_by
from tests.work import Counted, work_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa="
HANDLE = "https://db5.notify.example/?token=AA%2fAA+AA&x='y'"
SHORT = "a'a a"
SIZE = 1500
"""Characters of the smaller of two texts."""
MAX_RATIO = 2.3
"""Twice the text, and a little for what is the same for both; four times would be the square."""


def raised(reply: Response) -> None:
    with suppress(HubError):
        raise_for_error(
            reply,
            read_facts(reply, sent=NOW, received=NOW),
            who='hub "hub"',
            record="record",
            redact=redacting,
        )


def redacting(text: str) -> str:
    return redacted(text, secrets=(KEY, SHORT), marks={HANDLE: "#12345678"})


def error_of(detail: str, headers: dict[str, str]) -> None:
    body = f"<Error><Code>404</Code><Detail>{escaped(detail)}</Detail></Error>"
    raised(Response(404, headers, body.encode("utf-8", "replace")))


def entry(tags: str, more: str = "") -> str:
    return (
        f"<entry><content><GcmRegistrationDescription><Tags>{tags}</Tags>{more}"
        "<GcmRegistrationId>h</GcmRegistrationId></GcmRegistrationDescription></content></entry>"
    )


def read_entry(document: str) -> None:
    with suppress(NotARegistration):
        from_entry(document.encode("utf-8", "replace"))


def read_feed(document: str) -> None:
    with suppress(NotARegistration):
        from_feed(document.encode("utf-8", "replace"))


def read_installation(**fields: Any) -> None:
    document = {"installationId": "a", "platform": "gcm", "pushChannel": "h", **fields}
    with suppress(NotAnInstallation):
        from_json(json.loads(json.dumps(document)))


def row(*tags: str, template: Template | None = None) -> HeldRegistration:
    return unvalidated(
        HeldRegistration,
        platform=Platform.GCM,
        channel="h",
        tags=tags,
        template=template,
        template_name=None if template is None else "news",
        registration_id="2" if template is None else "1",
    )


class Located(RegistrationOperations):
    """Operations at a hub that answers with this Location and nothing else."""

    def __init__(self, location: str) -> None:
        self._location = location
        exchange: Any = self
        self._exchange = exchange

    def make(self, _: HubRequest) -> tuple[Response, HubReply]:
        return Response(201, {"location": self._location}, b""), HubReply(201, None, None, None)

    def unreadable(self, _: HubReply, why: str) -> ValueError:
        return ValueError(why)


def locate(text: str) -> None:
    with suppress(ValueError):
        Located(f"https://ns.example/hub/registrationids/{text}").create_registration_id()


def moment(text: str) -> None:
    with suppress(ValueError):
        read_moment(text)


READERS: dict[str, Callable[[str], object]] = {
    "what an error says": lambda text: split_tracking(Counted(text)),
    "an error": lambda text: error_of(text, {}),
    "an error's headers": lambda text: error_of(
        "x", {"retry-after": text, "date": text, "trackingid": text, "content-type": text}
    ),
    "an error's body as it is": lambda text: raised(Response(404, {}, text.encode("utf-8", "replace"))),
    "an error of a front end": lambda text: raised(
        Response(
            400, {}, f"<e><Error><Message>{escaped(text)}</Message></Error></e>".encode("utf-8", "replace")
        )
    ),
    "an error's markup": lambda text: raised(Response(400, {}, f"<e>{text}</e>".encode("utf-8", "replace"))),
    "an error in JSON": lambda text: raised(
        Response(404, {}, json.dumps({"error": {"message": text, "code": text}, "errors": [text]}).encode())
    ),
    "an error's JSON": lambda text: raised(Response(404, {}, f"[{text}]".encode("utf-8", "replace"))),
    "an error's page": lambda text: raised(
        Response(411, {"server": "Microsoft-HTTPAPI/2.0"}, f"<html>{text}".encode("utf-8", "replace"))
    ),
    "a page's tags": lambda text: _parts_of(Counted(text)),
    "an ETag": lambda text: etag_from(Counted(text)),
    "a web page": lambda text: is_web_page(b" <!doctype" + text.encode("utf-8", "replace")),
    "tags": lambda text: split_tags(Counted(text)),
    "tags of an entry": lambda text: read_entry(entry(escaped(text))),
    "variables of an entry": lambda text: read_entry(
        entry("a", f"<PushVariables>{escaped(text)}</PushVariables>")
    ),
    "elements of an entry": lambda text: read_entry(entry("a", text)),
    "a feed": lambda text: read_feed(f"<feed>{text}</feed>"),
    "an installation": lambda text: read_installation(tags=list(text), userId=text, expirationTime=text),
    "templates": lambda text: read_installation(
        templates={f"{n}": {"body": c} for n, c in enumerate(text[::20])}
    ),
    "the owner in a tag": lambda text: row(Counted(text)).installation_id,
    "a Date": lambda text: read_http_date(Counted(text)),
    "a Retry-After": lambda text: read_retry_after(Counted(text), NOW),
    "a moment": moment,
    "a Location": locate,
    "redaction": lambda text: redacting(Counted(text)),
    "redaction without secrets": lambda text: redacted(Counted(text)),
    "prose": lambda text: in_prose(ValueError(Counted(text))),
    "why no reply came": lambda text: cause_of(OSError(Counted(text))),
}

PIECES = [
    *(" ", "\t", "\n", ".", ",", ":", ";", "/", "//", "@", "#", "{", "}", "x", "9", "0", "-", "_", "é", "İ"),
    *("TrackingId:", "TimeStamp:", "TrackingId:x,", "$InstallationId:{", "Mon, ", "GMT", "T00:00", "<", ">"),
    *("<a>", "</a>", "<a/>", "<a b='c'>", "<Tags>", "]]>", "<entry>", "</entry>", entry("a,b"), "[", '{"a":'),
    *("%", "%2", "%25", "25", "%f0", "%f0%9f", "%27", "%2f", "&", "&amp;", "amp;", "&#", "&#0", "&#x", "37;"),
    *("'", "''", '"', "\\", "\\u", "\\u00", "\\u0025", "+", "=", "%3D", "sig", "sig=", "SharedAccessKey"),
    *("Authorization:", "SharedAccessSignature ", "a", "aaaa", KEY, KEY[:-1], HANDLE, HANDLE[:30], SHORT),
    *("html", "<html", "not found", "quota", "<p>", "</p>", "<title>", "<script>", "<!--", "-->", "&lt;"),
    *('{"error":', '{"message":"', "},", "W/", "&quot;", "%22"),
]  # fmt: skip
pieces = st.sampled_from(PIECES) | st.text(max_size=3)
ends = st.lists(pieces, max_size=3).map("".join)
units = st.lists(pieces, min_size=1, max_size=4).map("".join).filter(bool)


def check_ratio(read: Callable[[str], object], before: str, unit: str, after: str) -> None:
    count = -(-SIZE // len(unit))
    texts = [f"{before}{unit * times}{after}" for times in (count, 2 * count)]
    read(texts[0])  # what is imported or remembered at first use is not counted
    read(texts[1])
    little, much = (work_of(lambda text=text: read(text)) for text in texts)  # type: ignore[misc]
    assert much <= MAX_RATIO * little, f"{much} after {little} for {before!r}, {unit!r}, {after!r}"


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@settings(max_examples=40)
@given(before=ends, unit=units, after=ends)
@example(before="x", unit=" ", after="x")
@example(before="", unit="<", after="")
@example(before="", unit="<script>", after="")
@example(before="", unit="<!--", after="")
@example(before="", unit="<p>", after="")
@example(before="", unit="<a>", after="")
@example(before="", unit=",", after="")
@example(before="{", unit=",", after="")
@example(before="", unit="TrackingId:", after="")
@example(before="", unit="TrackingId: ", after="")
@example(before="", unit="//", after="")
@example(before="sig", unit=" ", after="")
@example(before="sig=", unit="SharedAccessSignature ", after=";")
@example(before="%", unit="25", after="")
@example(before="%f0", unit="%2525", after="")
@example(before="&", unit="amp;", after="")
@example(before="&#", unit="0", after="")
@example(before="", unit="&#0", after="")
@example(before="", unit="\\", after="")
@example(before="", unit="a", after="")
@example(before="", unit=HANDLE[:-1], after="")
def test_twice_the_text_takes_twice_the_work(name: str, before: str, unit: str, after: str) -> None:
    check_ratio(READERS[name], before, unit, after)


def test_measure_sees_work_that_grows_with_the_square() -> None:
    def cut_by_cut(text: str) -> None:
        text = Counted(text)
        while text:
            text = text[1:]

    def searched_again(text: str) -> None:
        counted = Counted(text)
        for at in range(len(text)):
            counted.find("y", at)

    for read in (cut_by_cut, searched_again):
        with pytest.raises(AssertionError):
            check_ratio(read, "", "x", "")


def test_words_full_of_blanks_are_read_as_they_are() -> None:
    assert split_tracking(f"x{' ' * 20_000}x") == (f"x{' ' * 20_000}x", None)
    assert split_tracking(f"x.{' ' * 20_000}TrackingId: a_G3 ,TimeStamp:b") == ("x", "a_G3")
    assert split_tracking("TrackingId:TrackingId: a,TimeStamp:b") == ("TrackingId:", "a")


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("," * 50_000, ()),
        ("a,b" + "," * 50_000 + "}", ("a,b" + "," * 50_000 + "}",)),
        ("{a,b},c,{d", ("{a,b}", "c", "{d")),
        (" a , {x,y} b{,},, c", ("a", "{x,y} b{,}", "c")),
    ],
    ids=["commas", "unopened", "unclosed", "blanks"],
)
def test_tags_are_split_outside_braces(text: str, tags: tuple[str, ...]) -> None:
    assert split_tags(text) == tags


def test_template_and_device_with_ever_more_tags_are_told_apart_in_linear_time() -> None:
    def declare(count: int) -> int:
        tags = [Compared(f"t{number}") for number in range(count)]
        rows = [row(*tags), row(*tags, "mine", template=Template("{}"))]
        before = Compared.times
        declared = declared_by(Installation("a", Platform.GCM, "h"), rows)
        assert len(declared.tags) == count and declared.templates["news"].tags == ("mine",)
        return Compared.times - before

    assert declare(400) <= MAX_RATIO * declare(200)


class Compared(str):
    """A tag that counts how often any is compared."""

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return super().__eq__(other)

    def __hash__(self) -> int:
        return super().__hash__()


def test_proxys_words_hide_its_password_however_many_slashes_they_have() -> None:
    assert cause_of(OSError("to http://user:word@proxy:1 and //b@c failed")) == "to http://c failed"
    assert cause_of(OSError("/" * 20_000)) == "/" * 200
    assert cause_of(OSError("a@b//c")) == "a@b//c"


@settings(max_examples=200)
@given(st.sampled_from([KEY, HANDLE, SHORT]), ends, ends)
def test_secret_amid_hostile_text_is_hidden(secret: str, before: str, after: str) -> None:
    assert f"({secret})" not in redacting(f"{before} ({secret}) {after}")


def work_of_words(detail: str) -> tuple[int, str]:
    """The work of an error that says this, and how it is told."""
    told: list[str] = []

    def read() -> None:
        try:
            raise_for_error(
                Response(400, {}, f"<Error><Code>400</Code><Detail>{detail}</Detail></Error>".encode()),
                HubReply(400, None, None, None),
                who='hub "hub"',
                record="record",
                redact=redacting,
            )
        except HubError as error:
            told.append(str(error))

    read()
    return work_of(read), told[-1]


@pytest.mark.slow
def test_endless_words_of_a_hub_are_read_to_where_nobody_sends_more() -> None:
    little, _ = work_of_words("%25" * 30_000)
    much, _ = work_of_words("%25" * 120_000)
    assert much < 1.1 * little


@pytest.mark.slow
@pytest.mark.parametrize("unit", [HANDLE, KEY, f"sig={KEY} "], ids=["handle", "key", "signature"])
def test_secret_that_is_cut_where_reading_ends_is_not_shown(unit: str) -> None:
    for more in range(0, len(unit), 7):
        detail = "x" * more + unit * (MAX_READ_CHARACTERS // len(unit) + 2)
        _, told = work_of_words(escaped(detail))
        assert unit[:12] not in told


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_long_names_and_times_of_a_hub_are_not_repeated(size: int) -> None:
    name = "a" * size
    for read in (from_entry, from_feed):
        with pytest.raises(NotARegistration, match=f"{size} characters"):
            read(f"<{name}/>".encode())
    with pytest.raises(NotARegistration, match=f"{size} characters"):
        from_entry(f"<entry><content><{name}/></content></entry>".encode())
    with pytest.raises(NotAnInstallation, match="characters") as caught:
        from_json({"installationId": "a", "platform": name, "pushChannel": "h"})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "form", ["{}", "a\\{}", "{}\\nb", "({})", "{}%41", "x%2F{}%2Fy", "\\u0022{}\\u0022", "&lt;{}&gt;"]
)
def test_short_secret_is_hidden_where_it_is_a_word_as_written_or_as_meant(form: str) -> None:
    assert "kitchen" not in redacted(form.format("kitchen"), secrets=["kitchen"])


@pytest.mark.parametrize("form", ["a{}", "{}s", "{}_", "%41{}"])
def test_short_secret_within_a_longer_word_is_no_secret(form: str) -> None:
    assert redacted(form.format("kitchen"), secrets=["kitchen"]) == form.format("kitchen")


@pytest.mark.parametrize(
    "text",
    [
        "https://h/?a=b%2Fc+d&amp;amp;e=%27f%27",
        "https:\\/\\/h\\/?a=b%252Fc%2520d\\u0026e=&#x27;f&#039;",
        "HTTPS%3A%2F%2FH%2F%3FA%3Db%2Fc%2Bd%26e%3D%2527%2527f%2527%2527",
        "https://h/?a=b/c d&e='f'",
        "%68ttps://h/?a=b%2Fc+d&e='f'",
    ],
    ids=["xml", "json", "percent", "decoded", "letters"],
)
def test_handle_is_hidden_in_any_mix_of_codings(text: str) -> None:
    assert redacted(f"not '{text}'!", marks={"https://h/?a=b%2Fc+d&e='f'": "#1"}) == "not '#1!"
