"""The contract, run over every kind of key ring that nhagent accepts; each is named, which is sooner done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .contract import KeyRingContract
from .machine import Machine
from .secret_service import SECRET_SERVICE, unlocked_session

pytestmark = pytest.mark.slow


class TestVault(KeyRingContract):
    name = "Vault"

    @pytest.fixture
    def machine(self, tmp_path: Path) -> Machine:
        machine = Machine(tmp_path / "machine")
        machine.has_vault(to_be_found=False)
        return machine


class TestSecretService(KeyRingContract):
    name = "SecretService"

    @pytest.fixture
    def machine(self, tmp_path: Path) -> Iterator[Machine]:
        machine = Machine(tmp_path / "machine")
        machine.takes(SECRET_SERVICE)
        with unlocked_session(machine):
            yield machine


class TestKeyRingOfSomebodyElse(KeyRingContract):
    name = "InMemory"

    @pytest.fixture
    def machine(self, tmp_path: Path, memory: str) -> Machine:
        machine = Machine(tmp_path / "machine")
        machine.takes("InMemory", memory=memory)
        return machine
