"""The operations on registrations: from HTTP to the hub and back."""

from __future__ import annotations

from nhagent.emulator.atom.descriptions import Registration
from nhagent.emulator.atom.writer import etag_of, write_entry, write_feed
from nhagent.emulator.http_messages import Reply, Request
from nhagent.emulator.hub.filters import read_filter
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.hub.paging import continuation_token, read_continuation, read_top
from nhagent.emulator.registration_table import Page
from nhagent.emulator.rest.address import has_parameter, parameter, without_parameters
from nhagent.emulator.rest.call import Call

ENTRY = "application/atom+xml; type=entry; charset=utf-8"
FEED = "application/atom+xml; type=feed; charset=utf-8"


def create_registration_id(hub: Hub, call: Call) -> Reply:
    address = f"{call.origin}/{hub.name}/registrationids/{hub.registrations.new_id()}"
    return Reply(201, {"Location": address + call.query})


def create_registration(hub: Hub, call: Call) -> Reply:
    created = hub.registrations.create(call.request.body)
    return _entry(hub, call, created, {"Content-Location": _address(hub, call, created)})


def put_registration(hub: Hub, call: Call) -> Reply:
    if_match = call.request.headers.get("If-Match")
    return _entry(hub, call, hub.registrations.put(call.arguments[0], call.request.body, if_match))


def get_registration(hub: Hub, call: Call) -> Reply:
    return _entry(hub, call, hub.registrations.get(call.arguments[0]))


def delete_registration(hub: Hub, call: Call) -> Reply:
    hub.registrations.delete(call.arguments[0], call.request.headers.get("If-Match"))
    return Reply(200)


def list_registrations(hub: Hub, call: Call) -> Reply:
    after, limit = _span(call)
    wanted = parameter(call.request.query, "$filter")
    if wanted is None:
        return _feed(call, hub.registrations.all(after, limit), limit)
    channel = read_filter(wanted, lenient=hub.lenient)
    return _feed(call, hub.registrations.of_channel(channel, after, limit), limit)


def list_registrations_by_tag(hub: Hub, call: Call) -> Reply:
    after, limit = _span(call)
    return _feed(call, hub.registrations.of_tag(call.arguments[0], after, limit), limit)


def right_to_list(request: Request) -> str:
    """Return the right that a list needs: a device may list the registrations of a handle, and no others."""
    return "Listen" if has_parameter(request.query, "$filter") else "Manage"


def _span(call: Call) -> tuple[int, int]:
    """After which place a list begins, and how many registrations it holds."""
    query = call.request.query
    after = read_continuation(parameter(query, "continuationtoken"))
    return after, read_top(parameter(query, "$top"))


def _entry(hub: Hub, call: Call, found: Registration, headers: dict[str, str] | None = None) -> Reply:
    written = call.request.method != "GET"
    document = write_entry(found, _address(hub, call, found), call.now, written=written)
    all_headers = {"Content-Type": ENTRY, "ETag": etag_of(found), **(headers or {})}
    return Reply(200, all_headers, document.encode())


def _feed(call: Call, page: Page, limit: int) -> Reply:
    base = call.origin + call.request.path.rstrip("/")
    entries = [(found, f"{base}/{found.id}{call.query}") for found in page.registrations]
    headers = {"Content-Type": FEED}
    following = None
    if page.last is not None:
        token = continuation_token(page.last)
        headers["x-ms-continuationtoken"] = token
        # The service codes the coded token once more here.
        twice = token.replace("%", "%25")
        kept = without_parameters(call.request.query, "$top", "continuationtoken")
        following = f"{base}?{'&'.join([*kept, f'%24top={limit}', f'continuationtoken={twice}'])}"
    return Reply(200, headers, write_feed(entries, base + call.query, following, call.now).encode())


def _address(hub: Hub, call: Call, found: Registration) -> str:
    return f"{call.origin}/{hub.name}/registrations/{found.id}{call.query}"
