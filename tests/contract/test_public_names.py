"""The public names, their signatures and their fields, against ``public_names.json``.

Annotations are left out: they may say more in time. The order of keyword-only parameters does not matter.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from importlib.metadata import distribution
from importlib.resources import files
from typing import Any

import pytest

import nhagent
import nhagent.testing
from nhagent import Agent, AsyncAgent, HubClient, Installation, Platform, aio, errors, models, report
from nhagent.device.vault import Vault
from nhagent.emulator import Emulator
from tests.device_under_test import Device

from .tables import read_table

TABLE = read_table("public_names.json")


def default_of(value: object) -> str:
    """A default as the table shows it; an empty mapping is one, of whatever class."""
    if isinstance(value, Mapping) and not value:
        return "{}"
    return repr(value.value) if isinstance(value, Enum) else repr(value)


def parameters_of(call: Callable[..., Any]) -> list[str]:
    """The parameters of a call, each with its default; what follows ``*`` is keyword-only, and sorted."""
    marks: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    plain: list[str] = []
    by_keyword: list[str] = []
    for name, parameter in inspect.signature(call).parameters.items():
        if name == "self":
            continue
        text = marks.get(parameter.kind, "") + name
        if parameter.default is not inspect.Parameter.empty:
            text += f"={default_of(parameter.default)}"
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            text += ", /"
        (by_keyword if parameter.kind is inspect.Parameter.KEYWORD_ONLY else plain).append(text)
    return plain + (["*", *sorted(by_keyword)] if by_keyword else [])


def members_of(kind: type) -> dict[str, Any]:
    """The constructor, the public methods and the properties of a class."""
    shown: dict[str, Any] = {"()": parameters_of(kind)}
    for name, member in inspect.getmembers_static(kind):
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            shown[name] = "property"
        elif isinstance(member, classmethod | staticmethod) or inspect.isfunction(member):
            shown[name] = parameters_of(getattr(kind, name))
    return shown


def fields_of(kind: Any) -> list[str]:
    """The fields of a dataclass in order, each with its default."""
    shown = []
    for part in dataclasses.fields(kind):
        text = part.name
        if part.default is not dataclasses.MISSING:
            text += f"={default_of(part.default)}"
        elif part.default_factory is not dataclasses.MISSING:
            text += f"={default_of(part.default_factory())}"
        shown.append(text)
    return shown


def error_tree() -> dict[str, Any]:
    """Every error of ``nhagent.errors``: its bases, and whether trying again may help."""
    return {
        name: {"bases": [base.__name__ for base in kind.__bases__], "retryable": kind.retryable}
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.NhagentError)
    }


def test_names_of_the_package() -> None:
    assert sorted(nhagent.__all__) == TABLE["__all__"]
    for name in nhagent.__all__:
        value = getattr(nhagent, name)
        assert (value.name if isinstance(value, Enum) else value.__name__) == name


@pytest.mark.parametrize("kind", [Agent, AsyncAgent, HubClient, Emulator], ids=lambda kind: kind.__name__)
def test_signatures_of_the_classes_that_do_something(kind: type) -> None:
    assert members_of(kind) == TABLE["classes"][kind.__name__]


@pytest.mark.parametrize("name", TABLE["protected"])
def test_names_that_are_protected_one_by_one(name: str) -> None:
    """Each is public by decision, though nothing but a test or an app might use it."""
    where, _, member = name.partition(".")
    if member.endswith("="):
        assert member.removesuffix("=") in inspect.signature(getattr(nhagent, where)).parameters
    elif member:
        assert callable(getattr(getattr(nhagent, where), member))
    else:
        assert inspect.isclass(getattr(nhagent, where, None) or getattr(errors, where))


def test_agents_async_start_is_a_coroutine_function() -> None:
    assert inspect.iscoroutinefunction(Agent.start_async)


def test_each_method_of_the_agent_is_awaitable_in_asyncio() -> None:
    plain, awaitable = members_of(Agent), members_of(AsyncAgent)
    # What blocks in the one is waited for with "async for" in the other.
    assert plain.keys() - {"start_async", "receive"} == awaitable.keys() - {"messages"}
    for name in plain.keys() & awaitable.keys() - {"()"}:
        assert plain[name] == awaitable[name]
        is_plain = name in {"keep_fresh", "state_folder"}  # one gives what is entered with "async with"
        assert is_plain or inspect.iscoroutinefunction(getattr(AsyncAgent, name))


def test_arguments_of_the_agent_for_asyncio_are_those_of_the_agent() -> None:
    source = ast.parse(inspect.getsource(aio))
    [given] = [
        node for node in ast.walk(source) if isinstance(node, ast.ClassDef) and node.name == "AgentArguments"
    ]
    names = {ast.unparse(part.target) for part in given.body if isinstance(part, ast.AnnAssign)}
    assert names == set(inspect.signature(Agent).parameters)


@pytest.mark.parametrize("name", TABLE["values"])
def test_fields_of_the_values(name: str) -> None:
    kind = getattr(nhagent, name)
    assert fields_of(kind) == TABLE["values"][name]["fields"]
    methods = {key: value for key, value in members_of(kind).items() if key != "()"}
    slots = {part.name for part in dataclasses.fields(kind)}
    methods = {key: value for key, value in methods.items() if key not in slots}
    assert methods == TABLE["values"][name]["members"]


@pytest.mark.parametrize("name", TABLE["values"])
def test_values_are_frozen(name: str) -> None:
    value = object.__new__(getattr(nhagent, name))
    field = TABLE["values"][name]["fields"][0].partition("=")[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, field, None)


def test_members_of_the_enums() -> None:
    enums: list[type[Enum]] = [models.Platform, report.Outcome, report.StartState]
    shown = {kind.__name__: {member.name: member.value for member in kind} for kind in enums}
    assert shown == TABLE["enums"]
    assert all(issubclass(kind, str) for kind in enums)
    assert parameters_of(Platform.parse) == ["text"]


def test_names_of_the_public_modules() -> None:
    for module in (models, report, errors, nhagent.testing):
        assert [name for name in TABLE["modules"][module.__name__] if not hasattr(module, name)] == []


def test_error_tree() -> None:
    assert error_tree() == TABLE["errors"]


def test_attributes_of_errors() -> None:
    assert parameters_of(errors.HubError) == TABLE["hub error"]
    for name, kind in inspect.getmembers_static(errors, inspect.isclass):
        if not issubclass(kind, errors.HubError):
            continue
        shown = kind("words", status=429, detail="d", tracking_id="t", retry_after=1.5, server_time=None)
        attributes = (shown.status, shown.detail, shown.tracking_id, shown.retry_after, shown.server_time)
        assert attributes == (429, "d", "t", 1.5, None), name
        assert str(shown) == "words"
    assert errors.ChannelError("words").pending is False
    assert errors.ChannelError("words", pending=True).pending is True


def test_fixtures_are_there_without_any_import(request: pytest.FixtureRequest) -> None:
    for name, scheme in TABLE["fixtures"].items():
        hub = request.getfixturevalue(name)
        assert isinstance(hub, Emulator)
        assert hub.endpoint.startswith(f"{scheme}://")
        assert (hub.hub, hub.log()) == ("emulated-hub", [])


def test_entry_points() -> None:
    """A null in the table: the name counts, and what stands behind it may move."""
    shown = {(point.group, point.name): point.value for point in distribution("nhagent").entry_points}
    expected = {(group, name): value for group, name, value in TABLE["entry points"]}
    assert shown.keys() == expected.keys()
    assert {key: shown[key] for key, value in expected.items() if value} == {
        key: value for key, value in expected.items() if value
    }


def test_vault_is_a_backend_of_the_key_ring() -> None:
    from keyring.backend import KeyringBackend

    assert issubclass(Vault, KeyringBackend)
    assert (f"{Vault.__module__}.{Vault.__name__}", Vault.name) == tuple(TABLE["key ring backend"])
    for method in ("get_password", "set_password", "delete_password"):
        assert method in vars(Vault)


def test_package_is_typed() -> None:
    assert files(nhagent).joinpath("py.typed").is_file()


def test_what_calls_give_back(device: Device) -> None:
    """Classes that have no public home yet, by the attributes that programs read."""
    agent = device.agent()
    [step] = agent.plan()
    keeper = agent.keep_fresh()
    agent.start()
    device.hub.forget(installation=str(agent.status().installation_id))
    [drift] = agent.verify().drift
    with HubClient(device.hub.full, device.hub.hub) as backend:
        backend.put_installation(Installation("a", "wns", "https://push.example/a"))
        reply = backend.last_reply
    seen = {"step": step, "drift": drift, "reply": reply, "log entry": device.hub.log()[0]}
    for name, value in seen.items():
        assert [part for part in TABLE["given back"][name] if not hasattr(value, part)] == [], name
    assert members_of(type(keeper)).keys() - {"()"} == set(TABLE["given back"]["keep_fresh"])
    assert hasattr(keeper, "__enter__")
    assert hasattr(keeper, "__exit__")
