"""Calls of a client's methods, one after the other: a JSON object on stdin, one on stdout.

in:  {"client": "rest" or "unofficial", "connectionString", "hub", "calls": [...]}
       a call is {"method", "arguments", "named"}
       an argument {"$time": text} is a datetime; {"$answer": n} is the value of the n-th answer
       a method that begins with "make_" makes a notification, with the factory of that name
     or {"client", "walk": true}
out: {"answers": [{"ok": true, "value"} or {"ok": false, "message"}, ...]}, or {"methods": [...]}

It runs in the environment of the clients, without nhagent.
"""

from __future__ import annotations

import inspect
import json
import sys
from datetime import datetime
from importlib import import_module
from typing import Any


def client_of(given: dict[str, Any]) -> Any:
    if given["client"] == "rest":
        module, name = "notificationhubs_rest_python.NotificationHub", "AzureNotificationHub"
    else:
        module, name = "azure_notification_hub", "NotificationHubsClient"
    nobody = "Endpoint=sb://a/;SharedAccessKeyName=b;SharedAccessKey=YQ=="
    return getattr(import_module(module), name)(given.get("connectionString", nobody), given.get("hub", "h"))


def methods_of(given: dict[str, Any]) -> list[str]:
    client = client_of(given)
    names = [name for name, _ in inspect.getmembers(client, callable) if not name.startswith("_")]
    if given["client"] == "unofficial":
        factories = [
            name for name in import_module("azure_notification_hub").__all__ if name.startswith("create_")
        ]
        names += [f"make_{name.removeprefix('create_')}" for name in factories]
    return sorted(names)


def filled_in(argument: Any, answers: list[dict[str, Any]]) -> Any:
    if isinstance(argument, list):
        return [filled_in(each, answers) for each in argument]
    if not isinstance(argument, dict):
        return argument
    if "$time" in argument:
        return datetime.fromisoformat(argument["$time"])
    if "$answer" in argument:
        value = answers[argument["$answer"]]["value"]
        return value[argument["$member"]] if "$member" in argument else value
    return {name: filled_in(each, answers) for name, each in argument.items()}


def perform(client: Any, call: dict[str, Any], answers: list[dict[str, Any]]) -> dict[str, Any]:
    name = call["method"]
    if name.startswith("make_"):
        method = getattr(import_module("azure_notification_hub"), "create_" + name.removeprefix("make_"))
    else:
        method = getattr(client, name)
    arguments = filled_in(call.get("arguments", []), answers)
    named = {key: filled_in(each, answers) for key, each in call.get("named", {}).items()}
    try:
        value = method(*arguments, **named)
    except Exception as error:
        return {"ok": False, "message": f"{type(error).__name__}: {error}"}
    if isinstance(value, tuple):  # a status and the headers that were sent, the token among them
        value = value[0]
    return {"ok": True, "value": value}


def main() -> None:
    given = json.load(sys.stdin)
    if given.get("walk"):
        json.dump({"methods": methods_of(given)}, sys.stdout)
        return
    client = client_of(given)
    answers: list[dict[str, Any]] = []
    for call in given["calls"]:
        answers.append(perform(client, call, answers))
    json.dump({"answers": answers}, sys.stdout)


if __name__ == "__main__":
    main()
