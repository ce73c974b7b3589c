"""Validate push channels, in the service's own words where a report has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nhagent.emulator.channels import URI_PLATFORMS, absolute_uri, is_apple_token


def channel_errors(platform: str, channel: Any) -> Iterator[str]:
    """Yield what the service refuses in a channel that is there.

    Args:
        platform: as installations name it.
        channel: in the form that installations use.
    """
    if platform == "apns" and not is_apple_token(channel):
        # An odd number of digits is refused in the same words.
        yield "One or more characters in device token is not a hexadecimal digit."
    if platform in URI_PLATFORMS and absolute_uri(channel) is None:
        yield "The channel is not an absolute http or https address."
