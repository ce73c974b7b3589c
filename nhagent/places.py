"""Find the folder of a file as its owner would, so that root gives nothing away in a folder of another user.

Whoever owns a folder can swap what is in it at any moment: for a link to a file that only root may read, or
for a folder in which only root may write. So root does not let the kernel follow a path. It walks it, folder
by folder, follows a link only where nobody but root could have placed it, and then acts relative to the open
folder; on nhagent's own files with the rights of the folder's owner. For everybody else the kernel's own
checks are enough.

Every start imports this module.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from functools import partial

from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

MAX_LINKS: Final = 40
"""How many links are followed on one path, as the kernel has it."""
NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
ROOT: Final = 0
"""The user id of root."""

_FOLDER: Final = (
    getattr(os, "O_PATH", os.O_RDONLY)
    | getattr(os, "O_DIRECTORY", 0)
    | NOFOLLOW
    | getattr(os, "O_CLOEXEC", 0)
)
_NO_LINK: Final = {errno.EINVAL, errno.ENOENT}
_NO_STEP: Final = {"", "."}
_libc: Any = None
_own_group = 0
"""Root's own group, once the library is loaded."""


class ForeignFile(PermissionError):
    """Another user placed this where root would read or change it for him."""


class Folder(Value):
    """An open folder: what is done in it is done there, wherever its path leads by then.

    Attributes:
        path: the path by which it was opened.
        number: its descriptor; None where names in it are paths.
        at: gives the name, or the path, by which a file in it is found.
        is_ours: it is one of nhagent's own, in which no name is followed where it is a link.
    """

    path: str
    number: int | None
    at: Callable[[str], str] = str
    is_ours: bool = True


def enter(path: str) -> tuple[Folder, str]:
    """Open for root the folder of a file that others have named; everybody else uses the path itself.

    Args:
        path: the file's.

    Returns:
        The folder, to be closed with `leave`, and the file's name in it.

    Raises:
        ForeignFile: a link that another user may have placed.
        OSError: there is no such folder.
    """
    if sys.platform == "win32" or os.geteuid() != ROOT:
        return Folder("", None, is_ours=False), path
    number, name, _ = _walk(path, is_ours=False)
    return Folder("", number, is_ours=False), name


def leave(folder: Folder) -> None:
    """Close what `enter` opened."""
    if folder.number is not None:
        os.close(folder.number)


def open_as_owner(path: str) -> Folder:
    """Open one of nhagent's own folders, with the rights of its owner.

    Each folder on the way belongs to the owner of the one above it, unless that is root.

    Args:
        path: the folder's.

    Returns:
        It, to be given to `close_as_owner`; until then this thread of root has the rights of the folder's
        owner and no more.

    Raises:
        ForeignFile: a link or a folder that another user placed.
        OSError: there is no such folder.
    """
    if sys.platform == "win32":
        return Folder(path, None, partial(os.path.join, path))
    if os.geteuid() != ROOT:
        return Folder(path, os.open(path, _FOLDER & ~NOFOLLOW))
    folder, _, is_mixed = _walk(f"{path}/-", is_ours=True)
    try:
        owner = os.fstat(folder)
        if is_mixed:
            raise ForeignFile(errno.EPERM, "below a folder of another user", path)  # noqa: TRY301
        if owner.st_uid != ROOT:
            _take_rights_of(owner, path)
    except BaseException:
        os.close(folder)
        raise
    return Folder(path, folder)


def close_as_owner(folder: Folder) -> None:
    """Close what `open_as_owner` opened, and take root's own rights back."""
    if folder.number is not None:
        os.close(folder.number)
    if _libc is not None:
        _libc.setfsuid(ROOT)
        _libc.setfsgid(_own_group)


def _walk(path: str, *, is_ours: bool) -> tuple[int, str, bool]:
    """Open the folder of a path; give it, the file's name, and whether one folder is below another user's."""
    folder, parts = os.open("/" if path.startswith("/") else ".", _FOLDER), path.rstrip("/").split("/")[::-1]
    links, owner, is_mixed = 0, ROOT, False
    try:
        while len(parts) > is_ours:
            part = parts.pop()
            if part in _NO_STEP and parts:
                continue
            try:
                target = os.readlink(part, dir_fd=folder)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
                if not parts:
                    return folder, part, is_mixed
                folder, above = os.open(part, _FOLDER, dir_fd=folder), folder
            else:
                links += 1
                folder, above = _follow(folder, part, target, path, links), folder
                parts += target.rstrip("/").split("/")[::-1]
                owner = ROOT  # the link leads from a folder of root's to wherever root wanted
            os.close(above)
            owner, owner_above = os.fstat(folder).st_uid, owner
            is_mixed |= owner_above not in {ROOT, owner}
    except BaseException:
        os.close(folder)
        raise
    return folder, parts[0], is_mixed


def _follow(folder: int, part: str, target: str, path: str, links: int) -> int:
    """Open the folder that a link's target counts from, where nobody but root can have placed the link."""
    if links > MAX_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    above = os.fstat(folder)
    others = above.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    is_of_root = not others or os.stat(part, dir_fd=folder, follow_symlinks=False).st_uid == ROOT
    is_swapped = others & stat.S_IWOTH and not above.st_mode & stat.S_ISVTX
    if above.st_uid != ROOT or not is_of_root or is_swapped:
        raise ForeignFile(errno.EPERM, "a symbolic link that another user may have placed", path)
    return os.open("/" if target.startswith("/") else ".", _FOLDER, dir_fd=folder)


def _group() -> int:
    if sys.platform == "win32":
        return 0
    return os.getegid()


def _take_rights_of(owner: os.stat_result, path: str) -> None:
    """Give this thread the file rights of a folder's owner, so that what it makes is his, too.

    Raises:
        ForeignFile: the system has no such call, or does not allow it.
    """
    global _libc, _own_group  # noqa: PLW0603 - loaded once, and only where root works for somebody else
    if sys.platform == "linux":
        import ctypes

        if _libc is None:
            _own_group = _group()
            _libc = ctypes.CDLL(None)
        _libc.setfsgid(owner.st_gid)
        _libc.setfsuid(owner.st_uid)
        if _libc.setfsuid(-1) == owner.st_uid:  # the call that fails tells who we are
            return
        _libc.setfsgid(_own_group)
    raise ForeignFile(errno.EPERM, "in a folder of another user, whose rights root cannot take here", path)
