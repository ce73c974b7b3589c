from __future__ import annotations

import json
import re
from typing import Any

import pytest

from nhagent.emulator import Emulator

from ..caller import Caller
from ..describing import *  # noqa: F403
