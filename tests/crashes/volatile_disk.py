"""A disk in memory that knows what would survive a power cut, and a fuse that cuts it at a given operation.

What fsync has not made durable may be there afterwards, or not, or in part; of the names in a folder those
changes are there that came before some point after its last fsync, in their order.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nhagent.filesystem import Disk
from nhagent.places import Folder


class PowerCut(BaseException):
    """The plug is pulled. Nothing in the library may catch it."""


@dataclass
class Fuse:
    """Counts operations, and ends the world, or fails one of them, at the n-th.

    Attributes:
        at: the operation that is not carried out any more; None: all are.
        fails: it alone fails, with this error; None: the power is cut, and nothing works after it.
        seen: what was done, in words.
    """

    at: int | None = None
    fails: OSError | None = None
    seen: list[str] = field(default_factory=list)

    def burn(self, operation: str) -> None:
        self.seen.append(operation)
        reached = len(self.seen) - 1
        if self.at is None or reached < self.at:
            return
        if self.fails is None:
            raise PowerCut(operation)
        if reached == self.at and not operation.startswith("clock"):
            raise self.fails


@dataclass
class File:
    """A file's content as processes see it, and as it is on the platter."""

    content: bytes = b""
    durable: bytes = b""
    is_folder: bool = False


Change = tuple[str, "File | None"]
"""A name, and what it stands for from now on."""


class VolatileDisk(Disk):
    """Files in memory, each operation through a fuse."""

    def __init__(self, names: dict[str, File] | None = None) -> None:
        self.fuse = Fuse()
        self._names: dict[str, File] = {"/": File(is_folder=True)} if names is None else names
        self._durable = dict(self._names)
        self._pending: dict[str, list[Change]] = {}
        self._open: dict[int, File] = {}
        self._next = itertools.count(3)

    def after_power_cut(self, luck: random.Random) -> VolatileDisk:
        """What is found at the next boot."""
        names = dict(self._durable)
        for changes in self._pending.values():
            for name, file in changes[: luck.randint(0, len(changes))]:
                _set(names, name, file)
        kept: dict[str, File] = {}
        for name, file in names.items():
            folder = os.path.dirname(name)
            if folder in names and names[folder].is_folder:
                kept[name] = File(*2 * (_content(file, luck),), is_folder=file.is_folder)
        return VolatileDisk(kept)

    def files(self) -> dict[str, bytes]:
        """All files by path, as processes see them."""
        return {name: file.content for name, file in self._names.items() if not file.is_folder}

    def put(self, path: str, content: bytes) -> None:
        """Replace a file's content behind everybody's back."""
        self._names[path] = self._durable[path] = File(content, content)

    def exists(self, path: str) -> bool:
        return path in self._names

    def is_folder(self, path: str) -> bool:
        return path in self._names and self._names[path].is_folder

    def open_folder(self, path: str) -> Folder:
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return Folder(path, None, partial(os.path.join, path))

    def close_folder(self, folder: Folder) -> None:
        """A folder in memory needs no closing."""

    def names(self, folder: Folder) -> list[str]:
        return [os.path.basename(path) for path in self._names if os.path.dirname(path) == folder.path]

    def make_folder(self, folder: Folder, name: str) -> None:
        self.fuse.burn(f"make_folder {name}")
        path = folder.at(name)
        if path in self._names:
            raise FileExistsError(errno.EEXIST, "File exists", path)
        self._change(path, File(is_folder=True))

    def read(self, folder: Folder, name: str, limit: int, **_: object) -> bytes:
        path = folder.at(name)
        file = self._names.get(path)
        if file is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        if file.is_folder:
            raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
        return file.content[:limit]

    def create(self, folder: Folder, name: str) -> int:
        self.fuse.burn(f"create {name}")
        path = folder.at(name)
        file = self._names.get(path)
        if file is None:
            file = File()
            self._change(path, file)
        file.content = b""
        return self._opened(file)

    def write(self, file: int, content: Any) -> int:
        self.fuse.burn("write")
        taken = max(1, len(content) // 2)  # in two pieces at least, as a slow device takes it
        self._open[file].content += content[:taken]
        return taken

    def sync(self, file: Any) -> None:
        self.fuse.burn("sync")
        self._open[file].durable = self._open[file].content

    def close(self, file: int) -> None:
        del self._open[file]

    def replace(self, folder: Folder, name: str, by: str) -> None:
        self.fuse.burn(f"replace {name}")
        path, by = folder.at(name), folder.at(by)
        file = self._names[by]
        # One rename is one entry of a journal: never half of it.
        self._change(path, file)
        self._vanish(by)

    def remove(self, folder: Folder, name: str) -> None:
        self.fuse.burn(f"remove {name}")
        self._vanish(folder.at(name))

    def sync_folder(self, folder: Folder) -> None:
        self.fuse.burn(f"sync_folder {os.path.basename(folder.path)}")
        for name, file in self._pending.pop(folder.path, []):
            _set(self._durable, name, file)

    def open_lock(self, folder: Folder, name: str) -> int:
        path = folder.at(name)
        if path not in self._names:
            self._change(path, File())
        return self._opened(self._names[path])

    def lock(self, file: int) -> None:
        """One process at a time uses this disk."""

    def unlock(self, file: int) -> None:
        """See `lock`."""

    def _vanish(self, path: str) -> None:
        _set(self._names, path, None)
        self._pending.setdefault(os.path.dirname(path), []).append((path, None))

    def _opened(self, file: File) -> int:
        number = next(self._next)
        self._open[number] = file
        return number

    def _change(self, name: str, file: File) -> None:
        self._names[name] = file
        self._pending.setdefault(os.path.dirname(name), []).append((name, file))


def _set(names: dict[str, File], name: str, file: File | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


def _content(file: File, luck: random.Random) -> bytes:
    if file.content == file.durable:
        return file.content
    torn = file.content[: luck.randint(0, len(file.content))]
    return luck.choice([file.durable, torn, file.content])
