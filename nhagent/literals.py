"""The words that settings take, for type checkers: an unchanged start does not import ``typing`` for them."""

from __future__ import annotations

from typing import Literal, TypeAlias

PlatformName: TypeAlias = Literal["wns", "apns", "fcmv1", "gcm", "mpns", "adm", "baidu", "browser", "xiaomi"]
"""The values of `nhagent.models.Platform`."""
StyleName: TypeAlias = Literal["installation", "registration"]
"""How a device is held at the hub."""
