"""What every key ring that nhagent accepts must do. A subclass gives the machine that has it."""

from __future__ import annotations

import pytest

from nhagent.emulator import Emulator
from nhagent.errors import CredentialError

from .machine import Machine, key_of

TEXTS = [
    "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=Listen;SharedAccessKey=a+b/c==;EntityPath=h",
    "=;=;;==",
    "żółw 東京 🔑 \u202e",
    " spaces before, \t tabs and 'quotes' \"within\", a space after ",
    "two\r\nlines\n",
    '{"json": [1, "\\u0000"]} %s $(id) `id` \\',
    "k" * 16 * 1024,
]


class KeyRingContract:
    """Run over each by a subclass that overrides the fixture `machine`.

    Attributes:
        name: what the key ring is called.
    """

    name: str

    def test_what_is_stored_is_found_replaced_and_removed(self, machine: Machine) -> None:
        with machine.process() as process:
            with pytest.raises(CredentialError, match='run "nhagent login"'):
                process.find("app", "hub")
            assert process.remove("app", "hub") == []
            assert process.store("app", "hub", "first") == self.name
            assert process.find("app", "hub") == "first"
            assert process.store("app", "hub", "second") == self.name
            assert process.find("app", "hub") == "second"
        with machine.process() as process:
            assert process.find("app", "hub") == "second", "another process finds it"
            assert process.remove("app", "hub") == [self.name]
            assert process.remove("app", "hub") == []
            with pytest.raises(CredentialError, match='run "nhagent login"'):
                process.find("app", "hub")

    def test_any_text_comes_back_as_it_was(self, machine: Machine) -> None:
        with machine.process() as process:
            for text in TEXTS:
                process.store("app", "hub", text)
                assert process.find("app", "hub") == text

    def test_apps_and_hubs_do_not_see_each_other(self, machine: Machine) -> None:
        owners = [
            ("app", "hub"), ("app", "other"), ("other", "hub"), ("App", "hub"),
            ("żółw", "hub"), ("app hub", "h"), ("a", "p/hub"), ("a/p", "hub"), ("a%2Fp", "hub"),
        ]  # fmt: skip
        with machine.process() as process:
            for owner in owners:
                process.store(*owner, text=f"of {owner}")
            assert process.find(*owners[0]) == f"of {owners[0]}"
            process.remove(*owners[0])
            with pytest.raises(CredentialError):
                process.find(*owners[0])
            assert [process.find(*owner) for owner in owners[1:]] == [f"of {owner}" for owner in owners[1:]]

    def test_hubs_name_counts_without_regard_to_case(self, machine: Machine) -> None:
        with machine.process() as process:
            process.store("app", "My-Hub", "text")
            assert process.find("app", "my-hub") == process.find("app", "MY-HUB") == "text"
            assert process.remove("app", "my-hub") == [self.name]
            with pytest.raises(CredentialError):
                process.find("app", "My-Hub")

    def test_device_logs_in_registers_and_logs_out_and_nothing_shows_the_secret(
        self, machine: Machine, notification_hub: Emulator
    ) -> None:
        machine.belongs_to(notification_hub)
        secret = key_of(notification_hub.listen)
        assert len(secret) > 20
        login = machine.run("login", "--json", "-vv", stdin=f" {notification_hub.listen}\r\n")
        assert login.code == 0, login.err
        assert (login.document["key_ring"], login.document["hidden_by"]) == (self.name, None)
        notification_hub.fail("GET", status=401)
        refused = machine.run("register", "-vv")
        assert (refused.code, "key ring entry 'nhagent'" in refused.err) == (77, True), refused.err
        register = machine.run("register", "--json", "-vv")
        assert (register.code, register.document["outcome"]) == (0, "registered"), register.err
        assert len(notification_hub.contents()["installations"]) == 1
        assert secret.encode() not in machine.all_it_keeps()

        logout = machine.run("logout", "--json", "-vv")
        assert (logout.code, logout.document["removed_from"]) == (0, [self.name]), logout.err
        notification_hub.clear_log()
        machine.has_channel("https://push.example/2")
        after = machine.run("register")
        assert (after.code, 'run "nhagent login"' in after.err) == (78, True)
        assert notification_hub.log() == []
        assert secret not in "".join(machine.shown)
        assert secret.encode() not in machine.all_it_keeps()
