"""What refuses a request says why in many ways, and in one way what to do: each is told as what it is."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from nhagent import HubClient, Installation, Platform, Registration, errors
from nhagent.emulator import Emulator
from nhagent.hub.replies import HubReply, raise_for_error
from nhagent.hub.transport import MAX_REPLY_BYTES, Response
from nhagent.hub.way import HubRequest
from nhagent.hub.web_pages import MAX_PAGE_BYTES, words_of_page
from tests.device_under_test import Device
from tests.events import HANG_SECONDS
from tests.serving import saying, serving

DEVICE = Installation("device", Platform.GCM, "handle")
KEY = "Endpoint=sb://x/;SharedAccessKeyName=Listen;SharedAccessKey=QQ=="
PAGE = (
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN""http://www.w3.org/TR/html4/strict.dtd">\r\n'
    '<HTML><HEAD><TITLE>{0}</TITLE>\r\n<META HTTP-EQUIV="Content-Type" Content="text/html; charset=us-ascii">'
    "</HEAD>\r\n<BODY><h2>{0}</h2>\r\n<hr><p>HTTP Error {1}. {2}</p>\r\n</BODY></HTML>\r\n"
)
"""What Windows' own HTTP server answers in the place of the service behind it."""


@pytest.fixture
def client(notification_hub: Emulator) -> Iterator[HubClient]:
    with HubClient(notification_hub.full, notification_hub.hub, timeout=HANG_SECONDS) as client:
        yield client


def refusal(
    status: int, body: str | bytes, headers: dict[str, str] | None = None, **more: Any
) -> errors.HubError:
    """The error that a reply becomes."""
    content = body if isinstance(body, bytes) else body.encode()
    response = Response(status, {"content-type": "application/octet-stream", **(headers or {})}, content)
    with pytest.raises(errors.HubError) as caught:
        raise_for_error(
            response,
            HubReply(status, None, None, None),
            who='hub "hub"',
            record="installation device",
            **more,
        )
    return caught.value


def reply_of(status: int, head: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status} Reason\r\n{head}\r\n".encode() + body


def told_by(reply: bytes, timeout: float = HANG_SECONDS) -> errors.HubError:
    """The error of a PUT that somebody at the other end answers with these bytes."""
    with (
        serving(saying(reply)) as address,
        HubClient(KEY, "hub", endpoint=address, timeout=timeout) as client,
        pytest.raises(errors.HubError) as caught,
    ):
        client.put_installation(DEVICE)
    return caught.value


HTML = b"<html><title>Service Unavailable</title>"
BODIES = {
    "page": (f"Content-Type: text/html\r\nContent-Length: {len(HTML)}\r\n", HTML),
    "garbage": ("Content-Length: 9\r\n", b"\xff\xfe\x00\x01\x02garb"),
    "nothing": ("Content-Length: 0\r\n", b""),
    "cut": ("Content-Length: 900\r\n", b"<Error><Code>"),
    "broken chunks": ("Transfer-Encoding: chunked\r\n", b"nonsense\r\n"),
    "no length": ("Connection: close\r\n", b"words"),
    "compressed": ("Content-Encoding: gzip\r\nContent-Length: 9\r\n", gzip.compress(b"x" * 99)[:9]),
    "too large": (f"Content-Length: {MAX_REPLY_BYTES + 1}\r\n", b"x" * (MAX_REPLY_BYTES + 1)),
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    ("status", "kind"),
    [(503, errors.HubUnavailable), (429, errors.Throttled), (403, errors.Throttled)],
)
def test_wait_status_and_tracking_id_count_whatever_the_body_is(
    status: int, kind: type[errors.HubError], body: str
) -> None:
    framing, content = BODIES[body]
    error = told_by(reply_of(status, f"Retry-After: 4\r\nTrackingId: abc-1\r\n{framing}", content))
    assert (type(error), error.status, error.retry_after, error.tracking_id) == (kind, status, 4.0, "abc-1")
    assert "[tracking id abc-1]" in error.fact
    assert error.retryable


@pytest.mark.parametrize("body", [name for name in BODIES if name != "page"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (410, errors.RegistrationGone),
        (400, errors.InvalidRequest),
    ],
)
def test_refusal_is_one_whatever_became_of_its_words(
    status: int, kind: type[errors.HubError], body: str
) -> None:
    framing, content = BODIES[body]
    error = told_by(reply_of(status, framing, content))
    assert (type(error), error.status) == (kind, status)


def test_404_whose_words_are_lost_may_be_of_the_hub_or_of_the_record_and_is_asked_again() -> None:
    framing, content = BODIES["cut"]
    error = told_by(reply_of(404, framing, content))
    assert (type(error), error.status, error.detail) == (errors.HubUnavailable, 404, "")


@pytest.mark.slow
def test_wait_counts_though_the_body_of_the_reply_never_ends(notification_hub: Emulator) -> None:
    with HubClient(notification_hub.listen, notification_hub.hub, timeout=0.5) as client:
        notification_hub.fail("PUT", status=503, headers={"Retry-After": "7"}, chunked="endless", drip=0.001)
        with pytest.raises(errors.HubUnavailable) as caught:
            client.put_installation(DEVICE)
    assert caught.value.status in {503, None}  # None: a busy machine had not read the head by then


def test_date_of_a_wait_is_counted_by_the_clock_of_whoever_asks_for_it() -> None:
    head = "Date: Fri, 02 Jan 2026 03:04:05 GMT\r\nRetry-After: Fri, 02 Jan 2026 03:05:05 GMT\r\n"
    framing, content = BODIES["page"]
    assert told_by(reply_of(503, head + framing, content)).retry_after == 60.0


TRACKED = "TrackingId:0aa54f73_G3,TimeStamp:11/7/2018 12:18:37 AM"
WORDS = "Installation not found"
FORMS: dict[str, str | bytes] = {
    "service": f"<Error><Code>404</Code><Detail>{WORDS}.{TRACKED}</Detail></Error>",
    "within Atom": f"<entry><content><Error><Detail>{WORDS}</Detail></Error></content></entry>",
    "storage": f'\ufeff<?xml version="1.0"?><Error><Code>NotFound</Code><Message>{WORDS}</Message></Error>',
    "OData": f'<m:error xmlns:m="urn:m"><m:code/><m:message xml:lang="en">{WORDS}</m:message></m:error>',
    "WCF": f"<Fault><Code><Value>Sender</Value></Code><Reason><Text>{WORDS}</Text></Reason></Fault>",
    "a text of .NET": f'<string xmlns="http://schemas.microsoft.com/2003/10/Serialization/">{WORDS}</string>',
    "UTF-16": f"<?xml version='1.0' encoding='utf-16'?><Error><Message>{WORDS}</Message></Error>".encode(
        "utf-16"
    ),
    "nested": json.dumps({"error": {"code": "NotFound", "message": f"{WORDS}.{TRACKED}"}}),
    "named": json.dumps({"error": {"code": "InstallationNotFound"}}),
    "OData's JSON": json.dumps({"odata.error": {"code": "", "message": {"lang": "en", "value": WORDS}}}),
    "message": json.dumps({"message": WORDS}),
    "Message": "\ufeff" + json.dumps({"Message": WORDS}),
    "flat": json.dumps({"statusCode": 404, "code": "NotFound", "message": WORDS}),
    "twin": json.dumps({"Error": {"Code": 404, "Detail": WORDS}}),
    "OAuth": json.dumps({"error": "not_found", "error_description": WORDS}),
    "problem": json.dumps({"type": "about:blank", "title": "Not Found", "status": 404, "detail": WORDS}),
    "fields": json.dumps({"title": "One error.", "errors": {"id": [WORDS]}, "traceId": "abc"}),
    "list": json.dumps([{"message": WORDS}]),
    "JSON text": json.dumps(WORDS),
    "plain": WORDS,
    "plain and tracked": f"{WORDS} {TRACKED}",
}


@pytest.mark.parametrize("form", FORMS)
def test_words_of_a_refusal_are_read_in_every_form_and_mean_the_same(form: str) -> None:
    error = refusal(404, FORMS[form])
    assert type(error) is errors.RecordNotFound, error
    said = {"named": "InstallationNotFound", "fields": f"One error. {WORDS}"}.get(form, WORDS)
    assert error.detail == said
    assert f'it says "{said}"' in error.fact
    if TRACKED in str(FORMS[form]):
        assert error.tracking_id == "0aa54f73_G3"


@pytest.mark.parametrize(
    "wrap",
    [
        "<Error><Code>1</Code><Detail>{}</Detail></Error>",
        "<Error><Code>1</Code><Message>{}</Message></Error>",
        '{{"error": {{"code": "1", "message": "{}"}}}}',
        '{{"Message": "{}"}}',
        '{{"title": "x", "detail": "{}"}}',
        "{}",
    ],
)
@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (403, "The quota of devices is exceeded", errors.QuotaExceeded),
        (403, "Too many installations in this namespace", errors.QuotaExceeded),
        (403, "No", errors.Forbidden),
        (404, "No service is hosted at the specified address.", errors.HubNotFound),
        (404, "Registration not found", errors.RecordNotFound),
        (404, "Never heard", errors.HubNotFound),
        (409, "SubCode=40900. Conflict", errors.Throttled),
        (412, "Precondition Failed", errors.ConcurrencyConflict),
        (400, "An invalid tag", errors.InvalidRequest),
        (500, "Oops", errors.HubUnavailable),
    ],
)
def test_refusal_in_any_form_is_classified_as_in_the_services_own(
    wrap: str, status: int, words: str, kind: type[errors.HubError]
) -> None:
    error = refusal(status, wrap.format(words))
    assert (type(error), error.detail) == (kind, words)


@pytest.mark.parametrize(
    "body",
    [
        "{}", "[]", "[[[[", "{" * 5000, '{"a": ' + "9" * 5000 + "}",
        '{"error": {"error": {"error": 1}}}',
        "<a/>", "<Error", '<!DOCTYPE e [<!ENTITY a "b">]><Error><Detail>&a;</Detail></Error>', "\x1b[31m",
        b"\xff\xfe",
        b"\0\1", '{"message": 5}', '{"message": ""}', "x" * 70_000, '{"error": null}',
    ],
    ids=lambda body: str(body[:20]),
)  # fmt: skip
def test_body_that_is_no_error_says_nothing_and_discards_nothing(body: str | bytes) -> None:
    error = refusal(404, body)
    assert (type(error), error.detail) == (errors.HubNotFound, "")


@pytest.mark.parametrize(
    "form", ['{{"message": "{}"}}', "<Error><Message>{}</Message></Error>", "{}", "<html><p>{}</p>"]
)
def test_secret_in_words_of_any_form_is_not_shown(form: str) -> None:
    secret = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
    error = refusal(503, form.format(f"not SharedAccessKey={secret} at all"))
    assert secret not in str(error) + error.detail
    assert error.detail == "not SharedAccessKey=… at all"


@pytest.mark.parametrize(
    ("status", "title", "sentence"),
    [
        (411, "Length Required", "The request must be chunked or have a content length."),
        (400, "Bad Request", "The request has an invalid header name."),
        (413, "Request Entity Too Large", "The request is too large."),
        (414, "Request-URI Too Long", "The request URL is too long."),
        (431, "Bad Request - Request Too Long", "The size of the request headers is too long."),
    ],
)  # fmt: skip
def test_refusal_of_the_front_end_is_one_though_it_is_a_page(
    notification_hub: Emulator, client: HubClient, status: int, title: str, sentence: str
) -> None:
    headers = {"Content-Type": "text/html; charset=us-ascii", "Server": "Microsoft-HTTPAPI/2.0"}
    notification_hub.fail("PUT", status=status, headers=headers, body=PAGE.format(title, status, sentence))
    with pytest.raises(errors.InvalidRequest) as caught:
        client.put_installation(DEVICE)
    assert len(notification_hub.log()) == 1
    assert caught.value.detail == f"{title}: HTTP Error {status}. {sentence}"
    assert caught.value.detail in str(caught.value)
    assert not caught.value.retryable


def test_device_is_told_of_the_front_ends_refusal_after_one_request(device: Device) -> None:
    page = PAGE.format("Length Required", 411, "The request must be chunked or have a content length.")
    device.hub.fail("PUT", status=411, body=page, headers={"Server": "Microsoft-HTTPAPI/2.0"}, times=9)
    with pytest.raises(errors.InvalidRequest, match="must be chunked or have a content length"):
        device.start()
    assert (device.seen(), device.slept) == (["PUT"], [])


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (400, {"server": "Microsoft-HTTPAPI/2.0"}, errors.InvalidRequest),
        (400, {"server": "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0"}, errors.InvalidRequest),
        (401, {"server": "Microsoft-HTTPAPI/2.0"}, errors.Unauthorized),
        (403, {"server": "Microsoft-Azure-Application-Gateway/v2"}, errors.Forbidden),
        (404, {"server": "Microsoft-HTTPAPI/2.0"}, errors.HubNotFound),
        (411, {"x-azure-ref": "0abc"}, errors.InvalidRequest),
        (411, {"x-ms-correlation-request-id": "0abc"}, errors.InvalidRequest),
        (413, {"server": "Kestrel"}, errors.InvalidRequest),
        (429, {}, errors.Throttled),
        (403, {"retry-after": "5"}, errors.Throttled),
        (502, {"server": "Microsoft-Azure-Application-Gateway/v2"}, errors.HubUnavailable),
        (400, {"server": "nginx"}, errors.HubUnavailable),
        (401, {}, errors.HubUnavailable),
        (403, {"server": "Microsoft-IIS/10.0"}, errors.HubUnavailable),
        (404, {}, errors.HubUnavailable),
        (411, {"server": "squid/6"}, errors.HubUnavailable),
        (302, {"server": "Microsoft-HTTPAPI/2.0"}, errors.HubUnavailable),
        (200, {"server": "Microsoft-HTTPAPI/2.0", "x-azure-ref": "0abc"}, errors.HubUnavailable),
    ],
)
def test_page_counts_where_the_service_or_what_stands_before_it_has_signed_it(
    status: int, headers: dict[str, str], kind: type[errors.HubError]
) -> None:
    error = refusal(status, PAGE.format("Title", status, "Installation not found."), headers)
    assert type(error) is kind
    assert error.detail == f"Title: HTTP Error {status}. Installation not found."


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("<html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1><hr>nginx", "502 Bad Gateway: nginx"),
        ("<html><title>Sign in</title><script>a<b; '<p>no</p>'</script><p> <p>The&nbsp;hotel &amp; bar",
         "Sign in: The hotel & bar"),
        ("<html><!-- <p>no</p> --><body>Our services aren't available", "Our services aren't available"),
        ("<html><title>Only</title>", "Only"),
        ("<html>", ""),
        ("<html><p", ""),
        ("<html><script>x", ""),
        ("<html><!-- x", ""),
        ("<html><p>" + " " * MAX_PAGE_BYTES + "half a key", ""),
    ],
)  # fmt: skip
def test_page_is_told_by_its_title_and_first_paragraph(page: str, words: str) -> None:
    assert words_of_page(page.encode()) == words


@pytest.mark.parametrize("kind", ["put", "get", "patch", "delete", "channel", "write"])
def test_device_that_may_not_listen_is_told_of_that_right(
    notification_hub: Emulator, client: HubClient, kind: str
) -> None:
    acts: dict[str, Any] = {
        "put": lambda: client.put_installation(DEVICE),
        "get": lambda: client.get_installation("device"),
        "patch": lambda: client.patch_installation("device", []),
        "delete": lambda: client.delete_installation("device"),
        "channel": lambda: list(client.registrations_by_channel("handle")),
        "write": lambda: client.create_registration(Registration(Platform.GCM, "handle")),
    }
    notification_hub.fail("*", status=403, body="")
    with pytest.raises(errors.Forbidden) as caught:
        acts[kind]()
    assert "it needs the Listen right (403)" in caught.value.fact
    assert caught.value.hint.startswith("give the key's policy the Listen right")


def test_key_that_may_not_manage_is_told_of_that_right(notification_hub: Emulator) -> None:
    with HubClient(notification_hub.listen, notification_hub.hub) as client:
        for rows in (client.registrations(), client.registrations_by_tag("kitchen")):
            with pytest.raises(errors.Forbidden) as caught:
                next(iter(rows), None)
            assert "the list of registrations: it needs the Manage right (403)" in caught.value.fact
            assert caught.value.hint.startswith("give the key's policy the Manage right")


def test_key_that_may_not_send_is_told_of_that_right(notification_hub: Emulator, client: HubClient) -> None:
    notification_hub.fail("POST", status=403, body="")
    with pytest.raises(errors.Forbidden, match="it needs the Send right"):
        client._exchange.make(HubRequest("POST", "messages", "the message", b"{}", right="Send"))


def test_old_front_end_that_answers_401_where_a_right_is_missing_is_told_so() -> None:
    words = "<Error><Code>401</Code><Detail>Manage claim is required for this operation.</Detail></Error>"
    error = refusal(401, words, right="Manage")
    assert type(error) is errors.Unauthorized
    assert error.hint.startswith("give the key's policy the Manage right")
    assert "rotated" in refusal(401, words.replace("claim", "x"), right="Manage").hint


@pytest.mark.parametrize(
    "wrap", ["<Error><Code>400</Code><Detail>{}</Detail></Error>", '{{"error": {{"message": "{}"}}}}', "{}"]
)
def test_hub_of_an_older_api_version_has_to_be_created_again(wrap: str) -> None:
    error = refusal(
        400,
        wrap.format(
            "The notification hub was created with an older API version. Either re-create the notification "
            "hub or use an older API version, 2017-11, to access it."
        ),
    )
    assert type(error) is errors.InvalidRequest
    assert 'hub "hub" was created under an older api-version than nhagent speaks, 2020-06' in error.fact
    assert error.hint.startswith("create the hub again")


def test_client_that_never_tries_again_does_not_say_that_it_will() -> None:
    for status in (302, 403, 408, 409, 429, 500, 503):
        assert "tried again" not in str(refusal(status, "", {"retry-after": "5"}))
    with (
        HubClient(KEY.replace("//x", "//no-such-host.invalid"), "hub") as client,
        pytest.raises(errors.HubUnavailable) as caught,
    ):
        client.put_installation(DEVICE)
    assert "no answer from no-such-host.invalid: " in caught.value.fact
    assert "tried again" not in str(caught.value)
    assert "check" in caught.value.hint and "a later attempt may succeed" in caught.value.hint
