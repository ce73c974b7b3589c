"""What a push channel of nhagent's own remembers: documents beside the device's, and secrets in a key ring.

Each document is written durably, with a checksum, and names the machine that it belongs to: on a copied disk
it counts as absent, since two machines must not share one subscription. Secrets go into the key ring or the
vault where there is one, else into the document, which only its owner can read.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import contextmanager
from time import sleep
from typing import TYPE_CHECKING, Any, Final

from nhagent.device.document import (
    SCHEMA,
    Malformed,
    read_content,
    read_object,
    read_schema,
    take_fields,
    to_content,
)
from nhagent.device.key_ring import kept_in_keyring, may_be_there, remove_from_keyring, store_in_keyring
from nhagent.device.machine import Fingerprint
from nhagent.device.store import CHANNEL, Store
from nhagent.errors import CredentialError, KeyringLocked, StateLocked, StateUnwritable
from nhagent.filesystem import Disk, locked, make_folders, read_whole, write_durably
from nhagent.logs import Log
from nhagent.regular_files import NotARegularFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from nhagent.device.document import JsonObject

PURPOSE: Final = "web-push"
"""What the entry in a key ring is for."""
LOCK: Final = "channel.lock"
MAX_BYTES: Final = 4 * 1024 * 1024
"""Largest document: what has arrived takes half of it."""
_IN_KEY_RING: Final = "key ring"

_log = Log(__name__)


class DeviceChannelStore:
    """Keeps the documents of one device's push channel; see `nhagent.channels.store.ChannelStore`.

    Args:
        folder: the device's state folder, an absolute path; made at the first write.
        app: the app's name.
        hub: the hub's name.
        machine: gives the fingerprint of this machine.
        clock: gives the time, aware.
        disk: the file system.
        key_ring_seconds: how long key rings may take.
    """

    def __init__(
        self,
        folder: str,
        app: str,
        hub: str,
        *,
        machine: Callable[[], Fingerprint],
        clock: Callable[[], datetime],
        disk: Disk | None = None,
        key_ring_seconds: float = 30.0,
    ) -> None:
        self.folder = folder
        self._app = app
        self._hub = hub
        self._machine = machine
        self._clock = clock
        self._disk = disk or Disk()
        self._key_ring_seconds = key_ring_seconds
        self._is_warned = False

    @property
    def is_begun(self) -> bool:
        """Whether anything was kept."""
        return self._disk.exists(os.path.join(self.folder, CHANNEL))

    def load(self, name: str) -> JsonObject | None:
        """Read a document.

        Raises:
            StateUnwritable: it is another user's.
        """
        try:
            content = read_whole(self._disk, os.path.join(self.folder, name), MAX_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except NotARegularFile:
            content = b""
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            kept, machine = _read(content)
        except Malformed:
            aside = Store(self.folder, disk=self._disk).keep_aside(name, self._clock())
            _log.warning("state file %s was corrupt and is kept as %s", name, aside)
            return None
        if machine.is_of(self._machine()) is False:
            if not self._is_warned:
                self._is_warned = True
                _log.warning(
                    "state file %s was written on another machine, whose disk was copied: this machine gets "
                    "a push channel of its own",
                    name,
                )
            return None
        return kept

    def save(self, name: str, document: JsonObject, secrets: Mapping[str, Any] | None = None) -> None:
        """Write a document durably, its secrets first.

        Raises:
            StateUnwritable: it is not on disk.
            KeyringLocked: the key ring may be unlocked later; nothing was written.
        """
        whole = dict(document)
        is_empty = secrets is not None and not any(secrets.values())
        if secrets is not None:
            is_in_key_ring = not is_empty and self._kept_in_key_ring(secrets)
            whole["secrets"] = _IN_KEY_RING if is_in_key_ring else dict(secrets)
        former = self.load(name) if is_empty else None
        fingerprint = self._machine()
        content = to_content(
            {
                "schema": SCHEMA,
                "machine": fingerprint.name,
                "hardware": " ".join(fingerprint.hardware),
                "kept": whole,
            }
        )
        try:
            if len(content) > MAX_BYTES:  # it could not be read back
                raise OSError(errno.EFBIG, f"{name} would be larger than {MAX_BYTES} bytes")  # noqa: TRY301
            write_durably(self._disk, os.path.join(self.folder, name), content)
        except OSError as error:
            raise self._unwritable(error) from error
        if former is not None and former.get("secrets") == _IN_KEY_RING:
            self._forget_secrets()

    def secrets_of(self, document: JsonObject) -> JsonObject | None:
        """Give the secrets that a document was saved with; None where they are lost.

        Raises:
            CredentialError: the key ring that holds them is locked, or fails.
        """
        kept = document.get("secrets")
        if kept != _IN_KEY_RING:
            return kept if isinstance(kept, dict) else None
        try:
            found = kept_in_keyring(self._app, self._hub, PURPOSE, seconds=self._key_ring_seconds)
            secrets = None if found is None else json.loads(found)
        except (ValueError, RecursionError):
            return None
        return secrets if isinstance(secrets, dict) else None

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep every other process from connecting, and from writing.

        Raises:
            StateLocked: another process does so.
            StateUnwritable: the state folder cannot be used.
        """
        if os.path.islink(self.folder) or os.path.islink(os.path.dirname(self.folder)):
            raise self._unwritable(OSError(errno.ELOOP, os.strerror(errno.ELOOP)))
        try:
            make_folders(self._disk, self.folder)
            lock = locked(self._disk, os.path.join(self.folder, LOCK), 0.0, sleep)
            lock.__enter__()
        except BlockingIOError:
            raise StateLocked(
                f"state folder {self.folder!r}: another process of this app is connected to the push service",
                "stop it, or let it receive: there is one connection for one device",
            ) from None
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    def _forget_secrets(self) -> None:
        """Remove what key rings hold; one that cannot be opened keeps what is worth nothing any more."""
        try:
            remove_from_keyring(self._app, self._hub, seconds=self._key_ring_seconds, purpose=PURPOSE)
        except CredentialError as error:
            _log.info("what a key ring holds of a former push channel stays there: %s", error)

    def _kept_in_key_ring(self, secrets: Mapping[str, Any]) -> bool:
        """Store secrets in a key ring; False where there is none that keeps anything."""
        if not may_be_there():
            return False
        try:
            store_in_keyring(
                self._app, self._hub, json.dumps(secrets), seconds=self._key_ring_seconds, purpose=PURPOSE
            )
        except KeyringLocked:
            raise
        except CredentialError as error:
            _log.debug("the keys of the push channel stay in their file: %s", error)
            return False
        return True

    def _unwritable(self, error: OSError) -> StateUnwritable:
        return StateUnwritable(
            f"state folder {self.folder!r}: cannot be used ({error.strerror or error})",
            "make room, or give nhagent a folder of its own that it may write",
        )


def _read(content: bytes) -> tuple[JsonObject, Fingerprint]:
    """Read what `DeviceChannelStore.save` has written."""
    fields = read_content(content)
    read_schema(fields)
    taken = take_fields(fields, {}, {"machine": str, "hardware": str, "kept": dict})
    machine = Fingerprint(taken["machine"], tuple((taken["hardware"] or "").split()))
    return read_object(taken["kept"]), machine
