"""A device's files: who it is, what it remembers, and the lock between processes.

Writes are durable (`nhagent.filesystem`) and happen under the lock; reading needs none. A device whose
identity is on disk goes on where the disk is full or read-only: what it learns is then kept in this process
alone.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, contextmanager
from time import sleep

from nhagent.device.document import Malformed, read_content, to_content
from nhagent.device.state import Identity, State
from nhagent.errors import StateLocked, StateUnwritable
from nhagent.filesystem import Disk, locked, make_folders, read_whole, write_durably
from nhagent.logs import Log
from nhagent.regular_files import NotARegularFile
from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from typing import Final

    from nhagent.device.document import JsonObject
    from nhagent.device.state import RetryState
    from nhagent.places import Folder

IDENTITY: Final = "identity.json"
STATE: Final = "state.json"
LOCK: Final = "lock"
CHANNEL: Final = "channel.json"
MESSAGES: Final = "messages.json"
"""The files of a push channel of nhagent's own; see `nhagent.device.channel_store`."""
MAX_FILE_BYTES: Final = 8 * 1024 * 1024
"""The most that is read from a file, and so the most that is written to one."""
MAX_ASIDES: Final = 3
"""How many files are kept under dated names, the newest: a disk that damages files must not fill up."""
_KEPT_ASIDE: Final = frozenset({IDENTITY, STATE, CHANNEL, MESSAGES})
_TAKES_NO_MORE: Final = {errno.EROFS, errno.ENOSPC, errno.EDQUOT}
_HAS_NO_LOCKS: Final = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What shares over a network say of a lock, where their server has none."""
_NEVER_WRITTEN: Final = State()

_log = Log(__name__)


class Memory(Value):
    """What was found on disk.

    Attributes:
        identity: who the device is; None before its first start.
        state: what else it remembers.
        unreadable: names of files that are there and corrupt.
        unsaved: the state is this process's own, since the disk did not take it.
        is_mixed: ``state.json`` is another device's, and counts as unreadable.
    """

    identity: Identity | None = None
    state: State = _NEVER_WRITTEN
    unreadable: tuple[str, ...] = ()
    unsaved: bool = False
    is_mixed: bool = False

    @property
    def is_disabled(self) -> bool:
        """Whether the user has unregistered the device."""
        return self.state.disabled or (self.identity is not None and self.identity.disabled)


class Store:
    """The files of one device.

    Args:
        folder: its absolute path; made at the first write.
        sleep: waits some seconds while another process holds the lock.
        disk: the file system.

    Attributes:
        folder: the same.
        disk: the file system.
    """

    def __init__(
        self, folder: str, *, sleep: Callable[[float], None] = sleep, disk: Disk | None = None
    ) -> None:
        self.folder = folder
        self._sleep = sleep
        self.disk = disk or Disk()
        self._unsaved: tuple[Memory, State] | None = None
        self._parsed: tuple[tuple[bytes | None, bytes | None], Memory] = ((None, None), Memory())

    @property
    def is_begun(self) -> bool:
        """Whether the folder is there: something was written, or was about to be."""
        return self.disk.is_folder(self.folder)

    def load(self) -> Memory:
        """Read what is on disk; absent is not unreadable.

        Raises:
            StateUnwritable: the files are another user's.
        """
        memory = self._load()
        if self._unsaved is None:
            return memory
        beneath, state = self._unsaved
        if memory != beneath:  # another process could write after all, and knows better
            self._unsaved = None
            return memory
        unreadable = tuple(name for name in memory.unreadable if name != STATE)
        return memory.changed(state=state, unreadable=unreadable, unsaved=True)

    def save_identity(self, identity: Identity) -> None:
        """Write the identity durably. Under the lock.

        Raises:
            StateUnwritable: it is not on disk.
        """
        self._write(IDENTITY, identity.to_json())

    def save_state(self, state: State) -> None:
        """Write the state durably. Under the lock.

        Raises:
            StateUnwritable: it is not on disk.
        """
        self._write(STATE, state.to_json())
        self._unsaved = None

    def remember(self, state: State) -> bool:
        """Write the state durably, or if the disk does not take it keep it in this process, and warn once.

        Only for a device whose identity is on disk. Under the lock.

        Returns:
            Whether it is on disk.
        """
        try:
            self.save_state(state)
        except StateUnwritable as error:
            if self._unsaved is None:
                _log.warning("%s; until then this process goes on from memory", error)
            self._unsaved = (self._load(), state)
            return False
        return True

    def note(self, retry: RetryState | None) -> None:
        """Add to the state what stands in the way, or None; an unreadable one is left alone. Under the lock.

        Raises:
            StateUnwritable: it is not on disk, and no identity is there for which it could be kept in memory.
        """
        memory = self.load()
        if STATE not in memory.unreadable:
            write = self.save_state if memory.identity is None else self.remember
            write(memory.state.changed(retry=retry))

    def keep_aside(self, name: str, now: datetime) -> str | None:
        """Keep a file under a dated name as well, before another takes its place: nothing is lost.

        It stays where it is until its successor takes its place: were it gone for a moment, a power cut would
        make an unreadable file an absent one. Under the lock.

        Returns:
            The other name, or None where there was no such file.

        Raises:
            StateUnwritable: the folder cannot be changed.
        """
        stem, dot, suffix = name.partition(".")
        aside = f"{stem}.{now.strftime('%Y%m%dT%H%M%S%f')}{dot}{suffix}"
        try:
            content = self._content_to_keep(name)
            if content is not None:
                write_durably(self.disk, os.path.join(self.folder, aside), content)
            folder = self.disk.open_folder(self.folder)
            try:
                if content is None:  # a file cannot take a folder's place, and a FIFO has no content to keep
                    self.disk.replace(folder, aside, name)
                self._remove_oldest_asides(folder)
                self.disk.sync_folder(folder)
            finally:
                self.disk.close_folder(folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unwritable(error) from error
        return aside

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Keep other processes and threads from writing.

        Args:
            timeout: seconds to wait for them.

        Raises:
            StateLocked: another one did not finish in time.
            StateUnwritable: the folder cannot be made, or not locked.
        """
        if os.path.islink(self.folder) or os.path.islink(os.path.dirname(self.folder)):
            raise self._is_link()
        with ExitStack() as stack:
            try:
                make_folders(self.disk, self.folder)
                lock = os.path.join(self.folder, LOCK)
                stack.enter_context(locked(self.disk, lock, timeout, self._sleep))
            except BlockingIOError:
                raise StateLocked(
                    f"state folder {self.folder!r}: another process of this app is at work on it and did not "
                    f"finish within {timeout:g} s",
                    "try again, or stop the other one",
                ) from None
            except OSError as error:
                # Where nothing can be written there is nothing to guard: who has an identity goes on.
                if error.errno not in _TAKES_NO_MORE or self._load().identity is None:
                    raise self._unwritable(error) from error
            yield

    def _load(self) -> Memory:
        contents = self._contents()
        parsed = self._parsed  # other threads may replace it meanwhile
        if contents != parsed[0]:  # parsing costs more than reading, and a pass reads twice
            self._parsed = parsed = contents, _memory_of(*contents)
        return parsed[1]

    def _contents(self) -> tuple[bytes | None, bytes | None]:
        """Read both files: None where there is none, empty where it cannot be read."""
        if os.path.islink(self.folder) or os.path.islink(os.path.dirname(self.folder)):
            raise self._is_link()
        contents: list[bytes | None] = [None, None]
        try:
            folder = self.disk.open_folder(self.folder)
        except (FileNotFoundError, NotADirectoryError):
            return None, None
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            for index, name in enumerate((IDENTITY, STATE)):
                try:
                    content = self.disk.read(folder, name, MAX_FILE_BYTES + 1)
                    contents[index] = content if len(content) <= MAX_FILE_BYTES else b""
                except FileNotFoundError:
                    pass
                except (PermissionError, BlockingIOError) as error:  # another process may have a lease on it
                    raise self._unwritable(error) from error
                except OSError:
                    contents[index] = b""
        finally:
            self.disk.close_folder(folder)
        return contents[0], contents[1]

    def _content_to_keep(self, name: str) -> bytes | None:
        """Read a file that is set aside; None for a folder, FIFO, socket, device or link, which is moved."""
        try:
            return read_whole(self.disk, os.path.join(self.folder, name), MAX_FILE_BYTES)
        except (IsADirectoryError, NotARegularFile):
            return None
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return None

    def _write(self, name: str, document: JsonObject) -> None:
        content = to_content(document)
        try:
            if len(content) > MAX_FILE_BYTES:  # it could not be read back
                raise OSError(errno.EFBIG, f"{name} would be larger than {MAX_FILE_BYTES} bytes")  # noqa: TRY301
            write_durably(self.disk, os.path.join(self.folder, name), content)
        except OSError as error:
            raise self._unwritable(error) from error

    def _remove_oldest_asides(self, folder: Folder) -> None:
        names = [name for name in self.disk.names(folder) if _is_aside(name)]
        for name in sorted(names, key=_date_of_aside)[:-MAX_ASIDES]:
            try:
                self.disk.remove(folder, name)
            except IsADirectoryError:  # a folder that stood where a file belongs, and may hold anything
                pass

    def _is_link(self) -> StateUnwritable:
        """Whoever made the link would say where the files of the device go."""
        return StateUnwritable(
            f"state folder {self.folder!r}: it, or the folder above it, is a symbolic link",
            "put a real folder in its place, or name another state folder",
        )

    def _unwritable(self, error: OSError) -> StateUnwritable:
        hint = "make room, or give nhagent a folder of its own that it may write"
        if error.errno in _HAS_NO_LOCKS:
            hint = "name a state folder on a disk of this machine: this file system has no locks"
        return StateUnwritable(
            f"state folder {self.folder!r}: cannot be used ({error.strerror or error})", hint
        )


def _is_aside(name: str) -> bool:
    """Whether a file was set aside; see `Store.keep_aside`."""
    stem, date, suffix = (*name.split("."), "", "", "")[:3]
    return f"{stem}.{suffix}" in _KEPT_ASIDE and date.replace("T", "").isdigit()


def _date_of_aside(name: str) -> str:
    return name.split(".")[1]


def _memory_of(identity: bytes | None, state: bytes | None) -> Memory:
    """Parse the two files; one that is corrupt is named, and counts as never written."""
    known, kept, unreadable = None, _NEVER_WRITTEN, []
    try:
        known = None if identity is None else Identity.from_json(read_content(identity))
    except Malformed:
        unreadable.append(IDENTITY)
    try:
        kept = _NEVER_WRITTEN if state is None else State.from_json(read_content(state))
    except Malformed:
        unreadable.append(STATE)
    return Memory(known, kept, tuple(unreadable))
