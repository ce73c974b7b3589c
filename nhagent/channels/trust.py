"""What root may run for a configuration: only what nobody but root can have written.

Whoever may write a program, or a folder above it, would otherwise say what root does.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from nhagent.errors import ChannelError, ConfigurationError
from nhagent.places import MAX_LINKS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


def check_written_by_root(name: str, path: str) -> None:
    """Check, where this is root, that only root can have written a file.

    Args:
        name: what to call it in an error.
        path: the file's, or a program's name, which is looked for as when it is run; one that does not exist
            is told by whoever runs it.

    Raises:
        ConfigurationError: another user may write it, or what is above it.
    """
    if sys.platform == "win32" or os.geteuid() != ROOT:
        return
    from shutil import which

    found = path if os.path.isabs(path) else which(path)
    for part, facts in _on_the_way(os.path.abspath(found or path), MAX_LINKS):
        reason = _why_not_of_root(facts)
        if reason:
            raise ConfigurationError(
                f"{name} {path!r}: {part!r} {reason}, so that root does not run it",
                "let only root write it and the folders above it, or run nhagent as another user",
            )


def check_plugin(name: str, package: str) -> None:
    """Check that a plug-in is installed: not out of the working folder, and for root written by root alone.

    Args:
        name: what to call it in an error.
        package: its top level package or module; one that is not there is told by whoever imports it.

    Raises:
        ChannelError: it may be anybody's.
    """
    from importlib.util import find_spec

    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        spec = None
    found = [] if spec is None else [*(spec.submodule_search_locations or filter(None, [spec.origin]))]
    for place in found:
        if os.path.realpath(os.path.dirname(place)) == os.path.realpath(os.curdir):
            raise ChannelError(
                f"{name}: is in the working folder, where it may be anybody's",
                "install it, or start nhagent in another folder",
            )
        try:
            check_written_by_root(name, place)
        except ConfigurationError as error:
            raise ChannelError(error.fact, error.hint) from None


def _on_the_way(path: str, links: int) -> Iterator[tuple[str, os.stat_result]]:
    """Give every folder, link and file by which a path is found, from above."""
    parts = path.split("/")
    for count in range(1, len(parts) + 1):
        part = "/".join(parts[:count]) or "/"
        try:
            facts = os.lstat(part)
        except OSError:
            return
        if stat.S_ISLNK(facts.st_mode) and links:
            yield part, facts
            target = os.path.join(os.path.dirname(part), os.readlink(part), *parts[count:])
            yield from _on_the_way(os.path.normpath(target), links - 1)
            return
        yield part, facts


def _why_not_of_root(facts: os.stat_result) -> str:
    if facts.st_uid != ROOT:
        return f"belongs to user {facts.st_uid}"
    if stat.S_ISLNK(facts.st_mode):  # its mode says nothing, and in a sticky folder only root can move it
        return ""
    is_shared = facts.st_mode & stat.S_IWOTH or (facts.st_mode & stat.S_IWGRP and facts.st_gid != ROOT)
    if is_shared and not (stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_ISVTX):
        return "may be written by others"
    return ""
