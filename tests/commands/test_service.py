"""``--service``: root's commands find the device of a unit."""

from __future__ import annotations

from argparse import Namespace

import pytest

from nhagent.commands.service import take_place_of_service, unit_of
from nhagent.errors import ConfigurationError


def found(config: str | None, **environ: str) -> tuple[str, dict[str, str]]:
    options = Namespace(config=config)
    take_place_of_service(options, environ, is_root=True)
    return options.config, environ


def test_daemons_device_is_found_without_a_configuration() -> None:
    assert found(None) == ("/etc/nhagent/config.toml", {"NHAGENT_STATE_DIR": "/var/lib/nhagent"})


def test_instance_is_found_by_its_configuration() -> None:
    config, environ = found("/etc/nhagent/doorbell.toml")
    assert config == "/etc/nhagent/doorbell.toml"
    assert environ == {"NHAGENT_STATE_DIR": "/var/lib/nhagent-doorbell"}


def test_what_is_named_already_stays() -> None:
    _, environ = found(None, NHAGENT_STATE_DIR="/srv", NHAGENT_CONNECTION_STRING_FILE="/srv/key")
    assert environ == {"NHAGENT_STATE_DIR": "/srv", "NHAGENT_CONNECTION_STRING_FILE": "/srv/key"}


@pytest.mark.parametrize("config", ["/home/alice/config.toml", "/etc/nhagent/doorbell", "doorbell.toml"])
def test_configuration_of_no_unit_is_refused(config: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a service's configuration"):
        found(config)


def test_whoever_is_not_root_is_told_to_be() -> None:
    with pytest.raises(ConfigurationError, match="run this as root"):
        take_place_of_service(Namespace(config=None), {}, is_root=False)


def test_each_configuration_has_its_unit() -> None:
    assert unit_of("/etc/nhagent/config.toml") == "nhagent.service"
    assert unit_of("/etc/nhagent/doorbell.toml") == "nhagent@doorbell.service"
