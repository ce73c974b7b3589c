"""Set-ups for the doctor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from nhagent.emulator import Emulator

# An assertion that fails in one of these shows its values, as it does in a test.
pytest.register_assert_rewrite(*(f"tests.commands.doctor.{name}" for name in ("faults", "set_up")))

from .set_up import Doctored  # noqa: E402 - only what is imported after that is rewritten


@pytest.fixture
def make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Doctored]]:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as stack:

        def make(*, style: str = "installation", registered: bool = True, **settings: Any) -> Doctored:
            hub = stack.enter_context(Emulator(**settings))
            made = Doctored(hub, tmp_path, monkeypatch, style, capsys, stack)
            if registered:
                made.register()
            return made

        yield make
