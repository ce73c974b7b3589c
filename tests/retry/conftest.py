"""What several tests of the background thread need."""

from __future__ import annotations

from typing import Any

import pytest

from tests.device_under_test import PLAIN


@pytest.fixture
def settings() -> dict[str, Any]:
    return {**PLAIN, "sleep": None, "random": None, "clock": None}
