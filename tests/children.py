"""Clients that others have written, each in a process of its own, which is given keys by stdin."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any, NoReturn

import pytest

from tests.events import HANG_SECONDS

_TRUST = ("NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""Where Node.js, requests and httpx are told of a certificate authority."""


def cannot(reason: str) -> NoReturn:
    """Skip a test, or under ``NHAGENT_CI=1`` fail it."""
    if os.environ.get("NHAGENT_CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def answer_of(command: Sequence[str], request: dict[str, Any], *, ca: str | None = None) -> Any:
    """Run a driver, and return what it answers.

    Args:
        command: the driver's; it reads a JSON document on stdin, and writes one on stdout.
        request: that document.
        ca: path of a certificate authority to trust, PEM.
    """
    # A proxy of the machine's must not stand between client and loopback.
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    if ca is not None:
        environment |= dict.fromkeys(_TRUST, ca)
    done = subprocess.run(
        command,
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env=environment,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
