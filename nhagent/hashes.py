"""Hashes without OpenSSL: loading that costs more than all that an unchanged start does with a hash.

The standard library's ``random`` takes its own hash in the same way. A Python that was built without these
modules has ``hashlib``.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import blake2b, sha256
else:
    try:
        from _blake2 import blake2b

        if sys.version_info >= (3, 12):
            from _sha2 import sha256
        else:
            from _sha256 import sha256
    except ImportError:
        from hashlib import blake2b, sha256

__all__ = ["blake2b", "sha256"]
