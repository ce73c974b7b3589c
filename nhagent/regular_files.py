"""Read files that others have named: regular ones only, up to a cap, and without ever blocking.

Every start imports this module.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

READ_BYTES: Final = 256 * 1024
"""The most that is read from a file at once."""


class NotARegularFile(OSError):
    """A folder, FIFO, socket or device stands where a file was expected; reading it could block for ever."""


class FileTooLarge(OSError):
    """A file is larger than anything that is read under its name."""


def read_regular(path: str, limit: int) -> bytes:
    """Read the whole of a file that others have named, without ever blocking.

    Every file that the configuration, the environment or a caller names is read here.

    Args:
        path: the file's.
        limit: the most bytes that it may have.

    Raises:
        NotARegularFile: it is a folder, FIFO, socket or device, or acts like one.
        FileTooLarge: it has more bytes.
        OSError: it cannot be read.
    """
    content = read_start(path, limit + 1)
    if len(content) > limit:
        raise FileTooLarge(errno.EFBIG, f"larger than {limit} bytes", path)
    return content


def read_start(path: str, limit: int) -> bytes:
    """Read the first ``limit`` bytes of a file, without ever blocking.

    Raises:
        NotARegularFile: as `read_regular`.
        OSError: it cannot be read.
    """
    _check_regular(os.stat(path), path)  # before it is opened: a device may act on that
    content = bytearray()
    with open(path, "rb", buffering=0, opener=open_without_blocking) as file:
        while len(content) < limit:
            part = file.read(min(limit - len(content), READ_BYTES))
            if part is None:  # such as /proc/kmsg, which says it is regular and yet waits for more
                raise _not_a_regular_file(path)
            if not part:
                break
            content += part
    return bytes(content)


def check_regular(path: str) -> None:
    """Check a file that a library of others will read, and would wait for.

    Raises:
        NotARegularFile: it is a folder, FIFO, socket or device.
        OSError: it is not there.
    """
    _check_regular(os.stat(path), path)


def open_without_blocking(path: str, flags: int) -> int:
    """Open a regular file, and give its descriptor.

    Args:
        path: the file's.
        flags: of `os.open`.

    Raises:
        NotARegularFile: as `read_regular`.
        OSError: it cannot be opened.
    """
    file = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    try:
        _check_regular(os.fstat(file), path)  # the path may name something else by now
    except OSError:
        os.close(file)
        raise
    return file


def _check_regular(facts: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise _not_a_regular_file(path)


def _not_a_regular_file(path: str) -> NotARegularFile:
    return NotARegularFile(errno.EINVAL, "not a regular file", path)
