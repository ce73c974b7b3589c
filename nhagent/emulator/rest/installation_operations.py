"""The operations on installations: from HTTP to the hub and back."""

from __future__ import annotations

from typing import Any

from nhagent.emulator.http_messages import Reply, body_invalid
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.json_text import NotJson, read_json
from nhagent.emulator.rest.call import Call
from nhagent.emulator.rest.replies import XML

_EMPTY = {"Content-Type": XML}


def put_installation(hub: Hub, call: Call) -> Reply:
    hub.installations.put(call.arguments[0], _json(call.request.body))
    return Reply(200, _EMPTY)


def get_installation(hub: Hub, call: Call) -> Reply:
    # The service labels this JSON as XML; a client that believes the label fails here as it would there.
    return Reply(200, {"Content-Type": XML}, hub.installations.get(call.arguments[0]).encode())


def patch_installation(hub: Hub, call: Call) -> Reply:
    hub.installations.patch(call.arguments[0], _json(call.request.body))
    return Reply(200, _EMPTY)


def delete_installation(hub: Hub, call: Call) -> Reply:
    hub.installations.delete(call.arguments[0])
    return Reply(204, _EMPTY)


def _json(body: bytes) -> Any:
    try:
        return read_json(body)
    except NotJson as error:
        raise body_invalid("The body is not JSON.") from error
