"""The operations on registrations: what of them is HTTP.

Addresses in replies begin with https whatever the hub is reached by: the JavaScript client takes no other.
"""

from __future__ import annotations

from . import atom
from .descriptions import Registration
from .filters import read_filter
from .hub import Hub
from .messages import Reply, Request
from .operations import Call
from .paging import Page, continuation_token, read_continuation, read_top
from .query import has_parameter, parameter, without

ENTRY = "application/atom+xml; type=entry; charset=utf-8"
FEED = "application/atom+xml; type=feed; charset=utf-8"


def create_registration_id(hub: Hub, call: Call) -> Reply:
    address = f"{_root(hub, call)}/registrationids/{hub.registrations.new_id()}"
    return Reply(201, {"Location": address + _query(call)})


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
    return _feed(call, hub.registrations.of_channel(read_filter(wanted), after, limit), limit)


def list_registrations_by_tag(hub: Hub, call: Call) -> Reply:
    after, limit = _span(call)
    return _feed(call, hub.registrations.of_tag(call.arguments[0], after, limit), limit)


def right_to_list(request: Request) -> str:
    """A device may ask for what is registered under a handle, and for nothing else."""
    return "Listen" if has_parameter(request.query, "$filter") else "Manage"


def _span(call: Call) -> tuple[int, int]:
    """After which place, and how many."""
    query = call.request.query
    after = read_continuation(parameter(query, "continuationtoken"))
    return after, read_top(parameter(query, "$top"))


def _entry(hub: Hub, call: Call, found: Registration, headers: dict[str, str] | None = None) -> Reply:
    written = call.request.method != "GET"
    document = atom.entry(found, _address(hub, call, found), call.now, written=written)
    all_headers = {"Content-Type": ENTRY, "ETag": atom.etag_of(found), **(headers or {})}
    return Reply(200, all_headers, document.encode())


def _feed(call: Call, page: Page, limit: int) -> Reply:
    base = f"https://{_host(call)}{call.request.path.rstrip('/')}"
    entries = [(found, f"{base}/{found.id}{_query(call)}") for found in page.registrations]
    headers = {"Content-Type": FEED}
    following = None
    if page.last is not None:
        token = continuation_token(page.last)
        headers["x-ms-continuationtoken"] = token
        # The service codes the coded token once more here.
        twice = token.replace("%", "%25")
        kept = without(call.request.query, "$top", "continuationtoken")
        following = f"{base}?{'&'.join([*kept, f'%24top={limit}', f'continuationtoken={twice}'])}"
    return Reply(200, headers, atom.feed(entries, base + _query(call), following, call.now).encode())


def _address(hub: Hub, call: Call, found: Registration) -> str:
    return f"{_root(hub, call)}/registrations/{found.id}{_query(call)}"


def _root(hub: Hub, call: Call) -> str:
    return f"https://{_host(call)}/{hub.name}"


def _host(call: Call) -> str:
    return call.request.headers.get("Host") or "localhost"


def _query(call: Call) -> str:
    return f"?{call.request.query}" if call.request.query else ""
