"""The page over real sockets: what it shows, what its forms do, and whom it does not answer."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nhagent.emulator import Emulator
from nhagent.emulator.page.html import element
from nhagent.emulator.page.previews import preview_of
from tests.emulator.caller import Answer, Caller, toast, wns

UI = "/_emulator/ui/"
NASTY = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator("my-hub", lenient=True) as running:
        yield running


@pytest.fixture
def hub(emulator: Emulator) -> Iterator[Caller]:
    with Caller(emulator.endpoint, emulator.full, emulator.hub) as caller:
        yield caller


def get(hub: Caller, view: str = "", **query: Any) -> Answer:
    target = UI + view + (f"?{urlencode(query)}" if query else "")
    return hub.send("GET", target, headers={"Accept": "text/html"}, sign_it=False)


def do(hub: Caller, action: str, headers: dict[str, str] | None = None, **fields: str) -> Answer:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"action": action, **fields})
    return hub.send("POST", f"{UI}do", body, headers={**kind, **(headers or {})}, sign_it=False)


def send(hub: Caller, tags: str | None = None, body: str = '{"title":"Dinner","message":"is ready"}') -> str:
    headers = {"ServiceBusNotification-Format": "template"}
    if tags:
        headers["ServiceBusNotification-Tags"] = tags
    reply = hub.send("POST", "/my-hub/messages?api-version=2020-06", body, headers=headers)
    assert reply.status == 201, reply.text
    return str(reply.headers["Location"].partition("?")[0].rpartition("/")[2])


def fill(hub: Caller) -> None:
    body = "<toast><text id='1'>$(title)</text><text id='2'>$(message)</text></toast>"
    hub.put(wns(installationId="one", tags=["kitchen"], templates={"alert": toast(body=body)}))
    hub.put(wns(installationId="two", tags=["hall"], templates={"alert": toast(body=body)}))


class Shape(HTMLParser):
    """The elements of a document, without its texts."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))


def shape_of(html: str) -> list[tuple[str, tuple[str, ...]]]:
    shape = Shape()
    shape.feed(html)
    shape.close()
    return shape.elements


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html.partition("<main")[2]))


def test_every_answer_forbids_what_the_page_does_not_need(hub: Caller) -> None:
    for target in (UI, f"{UI}hub", f"{UI}style.css", f"{UI}page.js", f"{UI}nothing", f"{UI}do"):
        reply = hub.send("GET", target, sign_it=False)
        policy = reply.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Cache-Control"] == "no-store"
    assert (
        hub.send("GET", f"{UI}page.js", sign_it=False).headers["Content-Type"].startswith("text/javascript")
    )


def test_a_browser_that_asks_for_the_root_is_led_there_and_a_client_is_not(hub: Caller) -> None:
    reply = hub.send("GET", "/", headers={"Accept": "text/html,*/*"}, sign_it=False)
    assert (reply.status, reply.headers["Location"]) == (302, UI)
    assert hub.send("GET", "/", headers={"Accept": "*/*"}, sign_it=False).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "192.168.1.5:80"},
    ],
)
def test_pages_of_others_get_nothing_and_change_nothing(
    emulator: Emulator, hub: Caller, headers: dict[str, str]
) -> None:
    fill(hub)
    assert do(hub, "reset", headers).status == 403
    assert len(emulator.contents()["installations"]) == 2
    for target in (UI, "/_emulator/events"):
        assert hub.send("GET", target, headers=headers, sign_it=False).status == 403


def test_a_form_of_its_own_is_done(emulator: Emulator, hub: Caller) -> None:
    fill(hub)
    reply = do(hub, "reset", {"Origin": emulator.endpoint})
    assert (reply.status, reply.headers["Location"]) == (303, UI)
    assert emulator.contents()["installations"] == []


def test_it_is_off_where_other_machines_are_listened_to() -> None:
    with Emulator("my-hub", host="0.0.0.0") as emulator:
        endpoint = emulator.endpoint.replace("0.0.0.0", "127.0.0.1")
        with Caller(endpoint, emulator.full, emulator.hub) as hub:
            reply = hub.send("GET", UI, sign_it=False)
            assert (reply.status, "The page is off" in reply.text) == (404, True)
            assert hub.send("GET", "/_emulator/events", sign_it=False).status == 404
            assert hub.send("GET", "/", headers={"Accept": "text/html"}, sign_it=False).status == 401


def test_it_is_not_imported_before_it_is_asked_for() -> None:
    program = """
import sys
from urllib.request import urlopen
from nhagent.emulator import Emulator
with Emulator() as emulator:
    urlopen(emulator.endpoint + "/_emulator/health").read()
    before = [name for name in sys.modules if f"{name}.".startswith("nhagent.emulator.page.")]
    urlopen(emulator.ui).read()
    after = [name for name in sys.modules if name.startswith("nhagent.emulator.page.")]
    print(before, len(after) > 5)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"


@pytest.mark.parametrize(
    ("view", "command"),
    [("", "nhagent hub send"), ("hub", "nhagent register"), ("requests", "nhagent register")],
)
def test_an_empty_view_shows_the_command_that_fills_it(hub: Caller, view: str, command: str) -> None:
    assert command in get(hub, view).text


def test_a_delivery_is_shown_as_it_would_look_with_headers_and_why_others_did_not_get_it(hub: Caller) -> None:
    fill(hub)
    delivery = send(hub, "kitchen && !hall")
    listed = get(hub).text
    assert "kitchen &amp;&amp; !hall" in listed
    assert "1 device" in listed
    shown = get(hub, delivery=delivery).text
    assert "<b>Dinner</b><span>is ready</span>" in shown
    assert "X-WNS-Type: wns/toast" in shown
    assert "<td>two</td>" in shown
    assert "<mark>kitchen</mark>" in shown
    assert "one received it" in get(hub, delivery=delivery, why="one").text
    assert "There is no installation &#x27;nobody&#x27;" in get(hub, delivery=delivery, why="nobody").text


def test_the_list_can_be_filtered(hub: Caller) -> None:
    fill(hub)
    send(hub, "kitchen")
    send(hub, "hall")
    assert "href" in get(hub, filter="KITCHEN").text
    assert "hall" not in words(get(hub, filter="kitchen").text).partition("Remove")[0]
    assert "Nothing matches" in get(hub, filter="bathroom").text


def test_lists_come_in_pages_of_fifty(emulator: Emulator, hub: Caller) -> None:
    many = [wns(installationId=f"device-{n:03}", pushChannel=f"https://x/{n}") for n in range(120)]
    emulator.restore({"installations": many})
    first, last = get(hub, "hub").text, get(hub, "hub", page=2).text
    assert "120 installations" in first
    assert "1 to 50 of 120" in first
    assert first.count('id="i-device-') == 50
    assert "101 to 120 of 120" in last
    assert 'id="i-device-119"' in last
    assert "page=3" not in last
    for _ in range(60):
        hub.delete("nothing")
    requests = get(hub, "requests").text
    assert requests.count("/my-hub/installations/nothing") == 50
    older = re.search(r'href="([^"]*before=\d+)"', requests)
    assert older is not None
    assert hub.send("GET", older[1], sign_it=False).text.count("/my-hub/installations/nothing") == 10


def test_the_hub_shows_what_a_send_would_reach(hub: Caller) -> None:
    fill(hub)
    assert "1 device:" in get(hub, "hub", reach="kitchen").text
    assert "Nobody." in get(hub, "hub", reach="bathroom").text
    assert "a tag is missing" in get(hub, "hub", reach="kitchen &&").text


def test_buttons_of_the_hub_do_what_they_say(emulator: Emulator, hub: Caller) -> None:
    fill(hub)
    do(hub, "expire", back="hub", installation="one")
    assert "expired" in get(hub, "hub").text
    do(hub, "gone", back="hub", installation="two")
    assert hub.get("two").status == 404
    assert hub.get("two").status == 200
    assert do(hub, "forget", back="hub", installation="two").headers["Location"] == f"{UI}hub"
    assert hub.get("two").status == 404
    reply = do(hub, "expire", back="hub", installation="nobody")
    assert "problem=Installation+not+found" in reply.headers["Location"]
    assert "Installation not found" in hub.send("GET", reply.headers["Location"], sign_it=False).text


def test_a_request_is_shown_whole_but_for_its_token_and_as_curl(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns(installationId="odd", pushChannel="it's no address"))
    shown = get(hub, "requests", request=1).text
    assert "The service would have refused this with 400" in shown
    assert "Content-Type: application/xml" in shown
    assert "it&#x27;s no address" in shown
    assert "curl -X PUT" in shown
    assert "$TOKEN" in shown
    token = hub.token().partition(" ")[2].partition("&")[0]
    assert token not in shown
    assert "SharedAccessSignature sr" not in shown


def test_faults_and_the_clock_are_set_by_buttons(emulator: Emulator, hub: Caller) -> None:
    assert do(hub, "fault", back="faults", preset="throttled").status == 303
    assert "status 429" in get(hub, "faults").text
    reply = hub.get("x")
    assert (reply.status, reply.headers["Retry-After"]) == (429, "10")
    do(hub, "clock", back="faults", offset="3600")
    assert "3,600 s ahead of this machine" in get(hub, "faults").text
    for offset in ("nan", "1e999", "x", ""):
        assert "problem=" in do(hub, "clock", back="faults", offset=offset).headers["Location"]


def test_every_preset_is_a_fault(emulator: Emulator, hub: Caller) -> None:
    from nhagent.emulator.page.faults_view import PRESETS

    for name in PRESETS:
        assert do(hub, "fault", back="faults", preset=name).headers["Location"] == f"{UI}faults", name
    assert get(hub, "faults").text.count("<li>") == len(PRESETS)
    do(hub, "clear-faults", back="faults")
    assert "Nothing goes wrong." in get(hub, "faults").text


def test_sending_says_whom_it_reaches_and_what_is_wrong_beside_the_field(
    emulator: Emulator, hub: Caller
) -> None:
    fill(hub)
    assert "Reaches 1 device now." in get(hub, "send", format="template", tags="kitchen").text
    reply = do(hub, "send", format="template", tags="kitchen &&", body='{"m": "typed"}')
    assert reply.status == 400
    assert "a tag is missing" in reply.text
    assert "typed" in reply.text
    reply = do(hub, "send", format="template", tags="kitchen", body='{"title":"x"}')
    [delivery] = emulator.deliveries()
    assert reply.headers["Location"] == f"{UI}?delivery={delivery.id}"


def test_a_snapshot_is_taken_and_restored_by_its_form(emulator: Emulator, hub: Caller) -> None:
    fill(hub)
    taken = hub.control("GET", "/snapshot").text
    do(hub, "reset")
    boundary = "----form"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="snapshot"; filename="x.json"\r\n'
        f"Content-Type: application/json\r\n\r\n{taken}\r\n--{boundary}--\r\n"
    )
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    reply = hub.send("POST", f"{UI}restore", body, headers=kind, sign_it=False)
    assert (reply.status, reply.headers["Location"]) == (303, f"{UI}hub")
    assert len(emulator.contents()["installations"]) == 2
    for wrong in (body.replace(taken, "nothing"), body.replace('"snapshot"', '"other"'), "x"):
        reply = hub.send("POST", f"{UI}restore", wrong, headers=kind, sign_it=False)
        assert "problem=" in reply.headers["Location"]
    assert len(emulator.contents()["installations"]) == 2


def test_what_devices_and_clients_write_is_never_markup(emulator: Emulator, hub: Caller) -> None:
    device = wns(
        installationId=NASTY,
        pushChannel=NASTY,
        userId="u",
        pushVariables={NASTY: NASTY},
        templates={NASTY: toast(body=NASTY, headers={"X-WNS-Type": "wns/raw", NASTY: NASTY})},
    )
    emulator.restore({"installations": [device], "registrations": []})
    send(hub, None, json.dumps({NASTY: NASTY}))
    hub.send("PUT", "/my-hub/installations/%3Cscript%3E?api-version=2020-06", NASTY, headers={"X-Odd": NASTY})
    hub.send("GET", f"/my-hub/{NASTY.replace(' ', '%20')}", sign_it=False)
    [delivery] = emulator.deliveries()
    for reply in (
        get(hub),
        get(hub, delivery=delivery.id),
        get(hub, filter=NASTY),
        get(hub, problem=NASTY),
        get(hub, "hub"),
        get(hub, "hub", filter=NASTY, reach=NASTY),
        *(get(hub, "requests", request=number) for number in range(1, 5)),
        get(hub, "send", tags=NASTY, body=NASTY, format=NASTY),
        do(hub, NASTY),
        do(hub, "send", tags=NASTY, body=NASTY, format=NASTY),
    ):
        found = shape_of(reply.text)
        assert ("img", ("src", "onerror")) not in found
        assert [tag for tag, _ in found].count("script") <= 1
        assert "onerror=alert(1)>" not in reply.text.replace("onerror=alert(1)&gt;", "")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_text_never_changes_the_shape_of_a_document(text: str, attribute: str) -> None:
    made = element("p", text, element("b", [text, None, text]), title=attribute, data_x=attribute)
    assert shape_of(made) == [("p", ("title", "data-x")), ("b", ())]


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=80)
    | st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner)).map(json.dumps)
)
def test_any_body_has_a_preview(body: str) -> None:
    preview = preview_of(body)
    assert isinstance(preview.title, str)
    assert isinstance(preview.text, str)


@pytest.mark.parametrize(
    ("body", "title", "text"),
    [
        ("<toast><visual><text>A</text><text>B</text></visual></toast>", "A", "B"),
        ('<badge value="7"/>', "", "7"),
        ('{"aps": {"alert": {"title": "A", "body": "B"}}}', "A", "B"),
        ('{"aps": {"alert": "B"}}', "", "B"),
        ('{"message": {"notification": {"title": "A", "body": "B"}}}', "A", "B"),
        ('{"data": {"message": "B"}}', "", "B"),
        ('{"title": "A", "message": "B"}', "A", "B"),
        ("plain", "", "plain"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
    ],
)
def test_a_preview_shows_what_the_platforms_show(body: str, title: str, text: str) -> None:
    assert preview_of(body) == (title, text)
