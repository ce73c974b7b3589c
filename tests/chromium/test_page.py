"""What a person sees and does on the emulator's page, in a real browser.

``NHAGENT_PICTURES=FOLDER`` keeps the pictures of it, to be looked at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nhagent.emulator import Emulator
from tests.emulator.caller import Caller, toast, wns

from .browser import Tab, browser, program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        program() is None and os.environ.get("NHAGENT_CI") != "1", reason="Chromium is not installed"
    ),
]
NASTY = "<img src=x onerror=alert(1)>"
BODY = "<toast><visual><text id='1'>$(title)</text><text id='2'>$(message)</text></visual></toast>"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator("my-hub", lenient=True) as running:
        yield running


@pytest.fixture
def hub(emulator: Emulator) -> Iterator[Caller]:
    with Caller(emulator.endpoint, emulator.full, emulator.hub) as caller:
        for name, tags in (("kitchen", ["kitchen", "home"]), ("hall", ["hall", "home"]), ("bath", ["news"])):
            channel = f"https://push.example/{name}"
            templates = {"alert": toast(body=BODY)}
            caller.put(wns(installationId=name, pushChannel=channel, tags=tags, templates=templates))
        yield caller


@pytest.fixture
def tab(emulator: Emulator, hub: Caller, tmp_path: Path) -> Iterator[Tab]:
    """A browser; whatever a test does with it, it asks nobody else and has nothing to complain about."""
    with browser(tmp_path) as tab:
        yield tab
        elsewhere = [url for url in tab.requested if not same_origin(url, emulator.endpoint)]
        assert elsewhere == []
        assert tab.complaints == []
        assert tab.dialogs == []


def same_origin(url: str, endpoint: str) -> bool:
    return url.startswith(("data:", "blob:")) or urlsplit(url).netloc == urlsplit(endpoint).netloc


def send(hub: Caller, tags: str, title: str = "Dinner") -> None:
    headers = {"ServiceBusNotification-Format": "template", "ServiceBusNotification-Tags": tags}
    body = json.dumps({"title": title, "message": "It is ready"})
    assert hub.send("POST", "/my-hub/messages?api-version=2020-06", body, headers=headers).status == 201


def test_a_send_appears_without_reload_and_says_why_others_did_not_get_it(
    emulator: Emulator, hub: Caller, tab: Tab
) -> None:
    tab.open(emulator.ui)
    tab.wait("document.querySelector('#live').textContent === 'live'")
    tab.value("window.mark = 'the same document'")
    send(hub, "home && kitchen")
    tab.wait("document.querySelectorAll('#rows a').length === 1")
    assert tab.value("window.mark") == "the same document"
    assert "home && kitchen" in tab.text("#rows")
    tab.click("#rows a")
    tab.wait("document.querySelector('#rendered')")
    assert tab.text("#rendered").split("\n") == ["Dinner", "It is ready"]
    assert "X-WNS-Type: wns/toast" in tab.text("article")
    rows = tab.value("[...document.querySelectorAll('#why tbody tr')].map(row => row.innerText)")
    marks = tab.value("[...document.querySelectorAll('#why mark')].map(mark => mark.innerText)")
    assert [row.split("\t")[0] for row in rows] == ["hall", "bath"]
    assert marks == ["kitchen", "home"]


def test_keys_go_through_the_list_and_to_other_views(emulator: Emulator, hub: Caller, tab: Tab) -> None:
    for number in range(3):
        send(hub, "home", f"Message {number}")
    tab.open(emulator.ui)

    def focused() -> int:
        return int(tab.value("[...document.querySelectorAll('#rows a')].indexOf(document.activeElement)"))

    tab.press("j")
    assert focused() == 0
    tab.press("j")
    assert focused() == 1
    tab.press("j")
    tab.press("j")
    assert focused() == 2
    tab.press("k")
    assert focused() == 1
    tab.press("Enter")
    tab.wait("document.querySelector('#rendered') && document.readyState === 'complete'")
    assert "Message 1" in tab.text("#rendered")
    tab.press("Escape")
    tab.wait("!location.search && document.readyState === 'complete'")
    tab.press("/")
    assert tab.value("document.activeElement.id") == "filter"
    tab.press("j")
    assert tab.value("document.querySelector('#filter').value") == "j"
    tab.press("Escape")
    assert tab.value("document.activeElement.id") != "filter"
    tab.press("?")
    assert tab.value("document.querySelector('#help').open")
    assert "next, previous" in tab.text("#help")
    tab.press("Escape")
    tab.wait("!document.querySelector('#help').open")
    tab.press("s")
    tab.wait("location.pathname.endsWith('/send') && document.readyState === 'complete'")


def test_the_page_stays_where_one_is_while_others_send(emulator: Emulator, hub: Caller, tab: Tab) -> None:
    send(hub, "home", "First")
    tab.open(emulator.ui + "hub")
    tab.click("[id='i-kitchen'] > summary")
    tab.value("document.querySelector(\"[id='i-hall'] > summary\").focus()")
    hub.put(wns(installationId="new", pushChannel="https://push.example/new"))
    tab.wait("document.querySelector('[id=\"i-new\"]')")
    assert tab.value("document.querySelector('[id=\"i-kitchen\"]').open")
    assert not tab.value("document.querySelector('[id=\"i-bath\"]').open")


def test_a_send_from_the_page_counts_whom_it_reaches_while_one_types(
    emulator: Emulator, hub: Caller, tab: Tab
) -> None:
    tab.open(emulator.ui + "send")
    assert "Reaches 3 devices" in tab.text("#reach")
    tab.type("#tags", "home")
    tab.wait("document.querySelector('#reach').innerText.includes('Reaches 2 devices')")
    hub.put(wns(installationId="new", tags=["home"], templates={"alert": toast(body=BODY)}))
    tab.wait("document.querySelector('#reach').innerText.includes('Reaches 3 devices')")
    tab.type("#tags", " &&")
    tab.wait("document.querySelector('#reach').innerText.includes('a tag is missing')")
    tab.type("#tags", " kitchen")
    tab.wait("document.querySelector('#reach').innerText.includes('Reaches 1 device ')")
    tab.value("document.querySelector('#tags').form.querySelector('button').click()")
    tab.wait("document.querySelector('#rendered')")
    [delivery] = emulator.deliveries()
    assert [match.installation for match in delivery.matched] == ["kitchen"]


def test_a_snapshot_is_restored_from_the_page(
    emulator: Emulator, hub: Caller, tab: Tab, tmp_path: Path
) -> None:
    snapshot = tmp_path / "snapshot.json"
    snapshot.write_text(json.dumps(emulator.snapshot()))
    tab.open(emulator.ui + "hub")
    tab.click("#state summary")
    tab.value("document.querySelector('#state button.danger').click()")
    tab.wait("location.pathname === '/_emulator/ui/' && document.readyState === 'complete'")
    assert emulator.contents()["installations"] == []
    tab.click("#state summary")
    document = tab.call("DOM.getDocument")["root"]["nodeId"]
    field = tab.call("DOM.querySelector", nodeId=document, selector="#state input[type=file]")["nodeId"]
    tab.call("DOM.setFileInputFiles", nodeId=field, files=[str(snapshot)])
    tab.value("document.querySelector('#state form[enctype] button').click()")
    tab.wait("location.pathname.endsWith('/hub') && document.readyState === 'complete'")
    tab.wait("document.querySelector('[id=\"i-kitchen\"]')")
    assert [held["installationId"] for held in emulator.contents()["installations"]] == [
        "kitchen",
        "hall",
        "bath",
    ]


def test_what_a_device_calls_its_template_does_nothing(emulator: Emulator, hub: Caller, tab: Tab) -> None:
    nasty = wns(installationId=NASTY, tags=["nasty"], templates={NASTY: toast(body=NASTY)}, userId="u")
    emulator.restore({"installations": [nasty]})
    tab.open(emulator.ui + "hub")
    tab.wait("document.querySelector('#live').textContent === 'live'")
    assert NASTY in tab.value("document.querySelector('#main').textContent")
    send(hub, "nasty", NASTY)
    tab.open(emulator.ui)
    tab.click("#rows a")
    tab.wait("document.querySelector('#rendered')")
    assert NASTY in tab.text("#reader")
    assert tab.value("document.querySelectorAll('img').length") == 0


def test_without_scripts_every_view_works_by_links_and_forms(
    emulator: Emulator, hub: Caller, tab: Tab
) -> None:
    send(hub, "home")
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    for view in ("", "hub", "requests", "faults", "send"):
        tab.open(emulator.ui + view)
        assert tab.text("main") != ""
    tab.open(emulator.ui)
    tab.open(emulator.endpoint + tab.value("document.querySelector('#rows a').getAttribute('href')"))
    assert "Dinner" in tab.text("#rendered")
    assert "live" in tab.text("#live")
    events = [url for url in tab.requested if url.endswith("/events")]
    assert events == []


def test_it_says_that_the_emulator_has_stopped(tmp_path: Path) -> None:
    emulator = Emulator("my-hub").start()
    with browser(tmp_path) as tab:
        tab.open(emulator.ui)
        tab.wait("document.querySelector('#live').textContent === 'live'")
        emulator.close()
        tab.wait("document.querySelector('#live').textContent === 'stopped'")


@pytest.mark.parametrize(
    ("name", "width", "height", "scheme"),
    [("light", 1280, 800, "light"), ("dark", 1280, 800, "dark"), ("narrow", 390, 800, "light")],
)
def test_it_fits_a_light_a_dark_and_a_narrow_screen(
    emulator: Emulator, hub: Caller, tab: Tab, tmp_path: Path, name: str, width: int, height: int, scheme: str
) -> None:
    folder = Path(os.environ.get("NHAGENT_PICTURES") or tmp_path)
    send(hub, "home && !hall")
    for view in ("hub", "requests", "faults", "send", ""):
        tab.open(emulator.ui + view)
        if not view:
            tab.click("#rows a")
            tab.wait("document.querySelector('#rendered')")
        tab.picture(folder / f"{name}-{view or 'deliveries'}.png", width, height, scheme)
        wide = tab.value("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{view} has to be scrolled sideways"
        ink, back = tab.value(
            "['color', 'backgroundColor'].map(what => getComputedStyle("
            "what === 'color' ? document.body : document.documentElement)[what])"
        )
        assert is_readable(ink, back), (view, ink, back)
        assert (folder / f"{name}-{view or 'deliveries'}.png").stat().st_size > 5_000


def is_readable(ink: str, back: str) -> bool:
    """Whether two colours (``rgb(r, g, b)``) differ by 7 to 1 at least: WCAG's better grade."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in colour[4:-1].split(",")]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    brighter, darker = sorted((light(ink), light(back)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05) >= 7
