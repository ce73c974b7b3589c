"""The operations on installations."""

from __future__ import annotations

import json
from typing import Any

from .hub import Hub
from .messages import Reply, body_invalid
from .operations import Call
from .replies import XML

_EMPTY = {"Content-Type": XML}


def put_installation(hub: Hub, call: Call) -> Reply:
    hub.put_installation(call.arguments[0], _json(call.request.body))
    return Reply(200, _EMPTY)


def get_installation(hub: Hub, call: Call) -> Reply:
    # The service labels this JSON as XML; a client that believes the label fails here as it would there.
    return Reply(200, {"Content-Type": XML}, hub.installation(call.arguments[0]).encode())


def patch_installation(hub: Hub, call: Call) -> Reply:
    hub.patch_installation(call.arguments[0], _json(call.request.body))
    return Reply(200, _EMPTY)


def delete_installation(hub: Hub, call: Call) -> Reply:
    hub.delete_installation(call.arguments[0])
    return Reply(204, _EMPTY)


def _json(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise body_invalid("The body is not JSON.") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON.")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
