"""``doctor``: what is wrong with a set-up, and what to do next.

One check after the other, in such an order that the first red one is the cause: a later one that cannot be
made for it is left open. Nothing is changed: the hub is asked once, for the device's own installation, the
disk is read alone, and of keys and push channels no more than names and fingerprints are shown.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from socket import AF_UNSPEC, create_connection
from time import monotonic, sleep
from typing import Any, Final
from urllib.parse import urlsplit

from nhagent.channels.source import ask
from nhagent.commands.config import Setup, read_setup
from nhagent.commands.units import ENCRYPTED, Unit, installed
from nhagent.device import credential_sources
from nhagent.device.store import LOCK, Store
from nhagent.errors import CredentialError, HubError, HubUnavailable, NhagentError, RecordNotFound
from nhagent.filesystem import Disk, locked
from nhagent.hub.addresses import addresses_of
from nhagent.hub.connection import ConnectionString
from nhagent.models import Platform, PushChannel, fingerprint, identity_of_channel
from nhagent.reconcile.identity import new_installation_id
from nhagent.reconcile.readings import WAIT_FOR_ANOTHER, known_channels, why_refused
from nhagent.registrars.protocol import INSTALLATION
from nhagent.report import StartState, Status
from nhagent.session.hub_clock import CLOCK_TOLERANCE_SECONDS as GOOD_CLOCK_SECONDS

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 15.0
LOCK_SECONDS: Final = 1.0
LEAST_BYTES: Final = 64 * 1024
"""Less room than this on the disk is none: a state file is written whole beside the old one."""
WNS_LIFE: Final = timedelta(days=30)
"""How long the platform keeps a WNS channel alive: apps ask for it anew at each start."""
SET_THE_CLOCK: Final = "set this device's clock; with systemd: timedatectl set-ntp true"
_NO_TLS: Final = {
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "UNKNOWN_PROTOCOL",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
}
"""OpenSSL's reasons where the other side's first bytes are those of another protocol."""
_NEW_STATES: Final = {StartState.NEW, StartState.IDENTIFIED}


@dataclass(frozen=True, slots=True)
class Check:
    """What one check has shown.

    Attributes:
        name: what was looked at.
        ok: whether it is as it should be; None: it could not be looked at, or there was nothing to see.
        fact: what was seen.
        next: what to do, where it is not as it should be.
    """

    name: str
    ok: bool | None
    fact: str
    next: str = ""


class _Red(Exception):
    """Something is not as it should be: the fact, and what to do next."""


class _Open(Exception):
    """There was nothing to look at: why."""


def examine(config: str | None) -> tuple[bool, dict[str, Any], str]:
    """Look at all that a device needs to stay known to its hub.

    Args:
        config: the configuration file's path; None: as `nhagent.commands.config.read_agent`.

    Returns:
        Whether nothing is wrong, the object for ``--json``, and the text for people.
    """
    checks = list(_Examination(config).checks())
    red = [check for check in checks if check.ok is False]
    width = max(len(check.name) for check in checks)
    lines = [_line(check, width) for check in checks]
    lines.append(f"first: {red[0].name}: {red[0].next}" if red else "healthy")
    document = {"healthy": not red, "checks": [asdict(check) for check in checks], "error": None}
    return not red, document, "\n".join(lines)


class _Examination:
    def __init__(self, config: str | None) -> None:
        self._config = config
        self._red: set[str] = set()
        self._set_up: Setup | None = None
        self._shown: Status | None = None
        self._skew: float | None = None
        self._answer: Exception | bool | None = None
        self._given: dict[str, str] = {}
        self._has_moved = False  # to another namespace, which knows nothing of the device yet

    def checks(self) -> Iterator[Check]:
        for name, look in (
            ("configuration", self._configuration),
            ("state folder", self._folder),
            ("lock", self._lock),
            ("state", self._state),
            ("credentials", self._credentials),
            ("dns", self._dns),
            ("tcp", self._tcp),
            ("tls", self._tls),
            ("clock", self._clock),
            ("hub", self._hub),
        ):
            yield self._look(name, look)
        if self._set_up is not None:
            # Last, because how old one is can be said by the hub's clock alone.
            for name in self._set_up.sources:
                yield self._look(name, partial(self._channel, name))
        yield from map(_check_of, self._units)

    @cached_property
    def _units(self) -> list[Unit]:
        return list(installed())

    @property
    def _setup(self) -> Setup:
        assert self._set_up is not None
        return self._set_up

    @property
    def _status(self) -> Status:
        if self._shown is None:
            self._shown = self._setup.agent.status()
        return self._shown

    def _look(self, name: str, look: Callable[[], str]) -> Check:
        try:
            self._needs("configuration")
            return Check(name, True, look())
        except _Open as reason:
            return Check(name, None, str(reason))
        except _Red as found:
            fact, next_step = found.args
        except NhagentError as error:
            fact, next_step = _told(error)
        self._red.add(name)
        return Check(name, False, fact, next_step)

    def _needs(self, *names: str) -> None:
        for name in names:
            if name in self._red:
                raise _Open(f"cannot be checked before {name} is in order")

    def _configuration(self) -> str:
        self._set_up = read_setup(self._config)
        return self._setup.path

    def _folder(self) -> str:
        folder = self._setup.agent.state_folder
        there = folder
        while not os.path.lexists(there):
            there = os.path.dirname(there)
        if not os.path.isdir(there):
            raise _Red(f"{there} is in the way: it is no folder", "move it away, or set $NHAGENT_STATE_DIR")
        if there == folder:
            _check_owner_and_modes(folder)
        _check_room(there)
        return folder if there == folder else f"{folder} (not made yet)"

    def _lock(self) -> str:
        path = os.path.join(self._setup.agent.state_folder, LOCK)
        if not os.path.isfile(path):
            return "nobody has ever taken it"
        began = monotonic()
        try:
            with locked(Disk(), path, LOCK_SECONDS, sleep):
                return "free"
        except BlockingIOError:
            raise _Red(
                f"another process of this app has held it for the {monotonic() - began:.1f} s of waiting",
                "let that process finish; if it hangs, stop it",
            ) from None
        except OSError as error:
            raise _Open(f"cannot be looked at ({error.strerror})") from None

    def _state(self) -> str:
        status = self._status
        if status.unreadable:
            raise _Red(
                f"{' and '.join(status.unreadable)} in {status.folder} cannot be read",
                "run nhagent register: it sets that aside and writes the device whole",
            )
        if status.state is StartState.CLONED:
            raise _Red(
                "this disk was copied from another machine",
                "run nhagent register once the platform gives this machine a channel of its own; if it is "
                f"the same device with new hardware, remove {status.folder} first",
            )
        facts = {
            "installation": status.installation_id,
            "at": status.namespace,
            "accepted": _when(status.accepted_at),
            "verified": _when(status.verified_at),
            "leaving": " and ".join(status.leaving),
            "last error": status.last_error and f"{status.last_error} ({status.failures} in a row)",
            "next attempt": _when(status.next_attempt),
        }
        told = [f"{name} {fact}" for name, fact in facts.items() if fact]
        if status.state is StartState.DISABLED:
            told.insert(0, 'unregistered by request, "nhagent enable" lifts it')
        elif status.state in _NEW_STATES:
            told.insert(0, 'not registered yet, "nhagent register" does it')
        return f"{status.state}: {', '.join(told)}"

    def _credentials(self) -> str:
        access = self._setup.access
        try:
            namespace = access.chain.namespace_at_any_cost()
        except CredentialError:
            self._check_no_service_has_it()
            raise
        source = access.chain.current
        assert source is not None
        fact = f"{source.name}: "
        if isinstance(source.key, ConnectionString):
            more = ", more than a device needs, as allow_full_access lets it"
            fact += f"key {source.key.key_name!r}"
            fact += more if source.key.allows_more_than_listen else " (by its name, Listen alone)"
        fact += f" at {namespace}"
        hidden = credential_sources.present()[1:]
        if hidden:
            fact += f"; it hides {' and '.join(hidden)}"
        known_at = None if "state" in self._red else self._status.namespace
        self._has_moved = known_at not in {None, namespace}
        if self._has_moved:
            fact += f"; the device is known at {known_at}, and will be registered anew here"
        return fact

    def _check_no_service_has_it(self) -> None:
        """Where no connection string is to be seen, a service may have one that systemd shows to it alone."""
        if credential_sources.present() or os.environ.get("CREDENTIALS_DIRECTORY"):
            return
        for unit in self._units:
            path = unit.credential_file
            if path is not None:
                step = f"as root, name its file: NHAGENT_CONNECTION_STRING_FILE={path}"
                if path.startswith(ENCRYPTED):
                    step = "run doctor with systemd-run, which lets it in: see systemd/README.md"
                raise _Red(f"none is to be seen here: {unit.name} has its own, shown to it alone", step)

    @property
    def _address(self) -> str:
        """The namespace's address."""
        address = self._setup.access.chain.address
        if address is None:
            self._needs("credentials")
            raise _Open("no address is known")
        return address

    @property
    def _proxy(self) -> str | None:
        """The proxy through which it is reached; None: there is none."""
        from nhagent.hub.transport import proxy_of

        return proxy_of(self._address)

    @property
    def _nearest(self) -> tuple[str, int | None, str]:
        """Host and port that this device itself connects to, and what they are called."""
        proxy = self._proxy
        if proxy is None:
            host, port = _host_and_port(self._address)
            return host, port, host
        called = f"the proxy {proxy}, which the environment names,"
        try:
            parts = urlsplit(f"//{proxy}")
            proxy_port = parts.port
        except ValueError:
            raise _Red(f"{called} is no address", "correct $HTTPS_PROXY") from None
        return parts.hostname or "", proxy_port, called

    def _dns(self) -> str:
        host, port, called = self._nearest
        try:
            found = addresses_of(host, port or 0, AF_UNSPEC, seconds=CONNECT_SECONDS, is_over=lambda: False)
        except OSError as error:
            whose = "$HTTPS_PROXY" if self._proxy else "the Endpoint of the connection string"
            raise _Red(
                f"{called} is not found ({_reason(error)})",
                f"check the network and its DNS servers, and {whose}",
            ) from None
        addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
        return f"{called} is {', '.join(addresses)}"

    def _tcp(self) -> str:
        self._needs("dns")
        host, port, called = self._nearest
        if port is None:
            raise _Open(f"left to {called} without a port")
        began = monotonic()
        try:
            create_connection((host, port), CONNECT_SECONDS).close()
        except OSError as error:
            if self._proxy:
                raise _Red(
                    f"{called} cannot be reached ({_reason(error)})",
                    "start the proxy, or correct or unset $HTTPS_PROXY",
                ) from None
            raise _Red(
                f"{host} port {port} cannot be reached ({_reason(error)})",
                f"let this device out to port {port}: check the firewall, the route, and $HTTPS_PROXY",
            ) from None
        return f"port {port} answers within {monotonic() - began:.2f} s"

    def _tls(self) -> str:
        address = self._address
        self._needs("dns", "tcp")
        if self._proxy:
            raise _Open(f"left to the proxy {self._proxy}, which the environment names")
        if urlsplit(address).scheme == "http":
            return "none: plain http to this machine itself"
        from nhagent.hub.transport import certificate_end

        try:
            connected = create_connection(_host_and_port(address), CONNECT_SECONDS)
        except OSError as error:
            raise _Red(f"the connection broke off ({_reason(error)})", "try again") from None
        with connected:
            try:
                end = certificate_end(connected, address, self._setup.ca_bundle)
            except HubUnavailable as error:
                if getattr(error.__context__, "reason", None) in _NO_TLS:
                    raise _Red(
                        f"what answers at {urlsplit(address).netloc} does not speak TLS",
                        "check the Endpoint of the connection string and its port; if they are right, find "
                        "out what stands in between: a captive portal, a proxy, another service",
                    ) from None
                raise
        return f"verified; the certificate is good until {end:%Y-%m-%d}"

    def _clock(self) -> str:
        self._exchange()
        if self._skew is None:
            accepted_at = None if "state" in self._red else self._status.accepted_at
            if (
                accepted_at is not None
                and (accepted_at - datetime.now(UTC)).total_seconds() > GOOD_CLOCK_SECONDS
            ):
                raise _Red(
                    f"it is before {_when(accepted_at)}, when the hub last accepted something",
                    SET_THE_CLOCK,
                )
            raise _Open("no hub has told the time")
        side = "behind" if self._skew > 0 else "ahead of"
        fact = f"{abs(self._skew):.0f} s {side} the hub's"
        if abs(self._skew) > GOOD_CLOCK_SECONDS:
            raise _Red(fact, SET_THE_CLOCK)
        return fact

    def _hub(self) -> str:
        self._exchange()
        if isinstance(self._answer, Exception):
            raise self._answer
        if "state" not in self._red and not self._has_moved:
            self._check_what_it_holds(holds=bool(self._answer))
        if self._answer:
            return "accepts the key and holds this device"
        known = "state" not in self._red and self._status.state is StartState.IN_SYNC
        lost = ", and does not hold it as an installation" if known else ""
        return f"accepts the key{lost}"

    def _check_what_it_holds(self, *, holds: bool) -> None:
        """Refuse a device that the hub has lost, and one that it still has to forget."""
        status = self._status
        if status.state is StartState.DISABLED:
            if status.leaving:
                raise _Red(
                    f"has not forgotten the unregistered device yet: {' and '.join(status.leaving)}",
                    "run nhagent register, which goes on with that as the daemon does; it registers nothing",
                )
            if holds:
                raise _Red(
                    f"still holds the unregistered device as installation {status.installation_id}",
                    "wait some minutes, since a hub deletes later than it says; if it stays so, run nhagent "
                    "enable and nhagent unregister",
                )
        elif not holds and INSTALLATION in Store(status.folder).load().state.accepted.records:
            raise _Red(
                f"does not hold installation {status.installation_id}, which it accepted at "
                f"{_when(status.accepted_at)}",
                "if that was minutes ago look again in some minutes, since a hub writes later than it says; "
                "else run nhagent verify, which marks it as lost, and nhagent register, which writes it anew",
            )

    def _exchange(self) -> None:
        """Ask the hub for the device, once."""
        self._needs("credentials", "dns", "tcp", "tls")
        if self._answer is not None:
            return
        access = self._setup.access
        installation_id = new_installation_id()
        if "state" not in self._red:
            installation_id = self._status.installation_id or installation_id
            state = Store(self._status.folder).load().state
            access.hide(channel for _, channel in known_channels(state))
        first = access.chain.current

        def get() -> bool:
            client = access.open(ANSWER_SECONDS)
            try:
                client.get_installation(installation_id)
            except RecordNotFound:
                return False
            finally:
                if self._skew is None:
                    self._skew = client.clock_skew
            return True

        try:
            self._answer = access.authorized(get)
            second = access.chain.current
            if first is not None and second is not None and first.key != second.key:
                self._answer = _Red(
                    f"refuses the key of {first.name}; that of {second.name} stands in for it",
                    f"put the hub's present connection string into {first.name}",
                )
        except NhagentError as error:
            self._answer = error
        finally:
            access.close()

    def _channel(self, name: str) -> str:
        setup = self._setup
        if "state" not in self._red and self._status.state is StartState.DISABLED:
            raise _Open("not asked for while the device is unregistered")
        channel = ask(setup.sources[name], setup.platform, name)
        if channel is None:
            raise _Red("there is no push channel yet", "see that the platform or the app gives one")
        mark = fingerprint(channel)
        self._check_use(name, channel)
        facts = [mark]
        if name in setup.channel_files:
            facts.append(self._age(setup.channel_files[name], mark))
        if "state" not in self._red:
            same = self._status.channels.get(name) == mark and not self._status.in_doubt
            in_sync = self._status.state is StartState.IN_SYNC
            facts.append("as the hub accepted it" if same and in_sync else "not sent yet")
        return ", ".join(facts)

    def _check_use(self, name: str, channel: PushChannel) -> None:
        """Refuse a channel that must not be sent."""
        setup = self._setup
        identity = identity_of_channel(setup.platform, channel)
        twin = self._given.setdefault(identity, name)
        if twin != name:
            raise _Red(f"{fingerprint(channel)} is also that of {twin}", "give each a channel of its own")
        if "state" in self._red:
            return
        fact = why_refused(setup.platform, channel, Store(self._status.folder).load().state)
        if fact is not None:
            raise _Red(f"{fingerprint(channel)} {fact}", WAIT_FOR_ANOTHER)

    def _age(self, path: str, mark: str) -> str:
        try:
            written = datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
        except (OSError, ValueError, OverflowError) as error:
            return f"of unknown age ({error})"
        age = datetime.now(UTC) + timedelta(seconds=self._skew or 0) - written
        if age > WNS_LIFE and self._setup.platform is Platform.WNS and "clock" not in self._red:
            raise _Red(
                f"{mark}, written {age.days} days ago: WNS channels live {WNS_LIFE.days} days",
                f"let the app ask the platform anew and write {path}",
            )
        return f"written {_when(written)}"


def _check_owner_and_modes(folder: str) -> None:
    if sys.platform == "win32":  # its modes say nothing; access lists do
        return
    try:
        paths = [folder, *(entry.path for entry in os.scandir(folder) if entry.is_file())]
        facts = {path: os.stat(path) for path in paths}
    except OSError as error:
        raise _Red(
            f"{folder} cannot be read ({error.strerror})", "give it to the user that runs nhagent"
        ) from None
    if os.geteuid() == 0:
        _check_owner_for_root(folder, {path: fact.st_uid for path, fact in facts.items()})
    else:
        for path, fact in facts.items():
            if fact.st_uid != os.geteuid():
                raise _Red(
                    f"{path} belongs to user {fact.st_uid}, and this is user {os.geteuid()}",
                    "run doctor as the user that runs nhagent, or give the folder to this one with chown -R",
                )
    for path, fact in facts.items():
        if fact.st_mode & 0o077:
            right = "700" if path == folder else "600"
            raise _Red(f"others may get at {path} (mode {fact.st_mode & 0o777:04o})", f"chmod {right} {path}")


def _check_owner_for_root(folder: str, owners: dict[str, int]) -> None:
    """Root looks at the folders of others, a service's too: what counts is that each is one user's alone."""
    home = os.path.dirname(os.path.dirname(folder))  # the state folder of all apps, made for the service
    model = home if os.stat(home).st_uid else folder
    owner = os.stat(model).st_uid
    for path, one in owners.items():
        if one != owner:
            raise _Red(
                f"{path} belongs to user {one}, and {model} to user {owner}",
                f"give it to the folder's user: chown --reference={model} {path}",
            )


def _check_room(folder: str) -> None:
    """Whether something could be written, as far as that can be told without doing so."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _Red(
            f"{folder} cannot be written",
            "give it to the user that runs nhagent, or mount its file system for writing",
        )
    if sys.platform == "win32":
        return
    room = os.statvfs(folder)
    left = (room.f_bfree if os.geteuid() == 0 else room.f_bavail) * room.f_frsize
    if room.f_blocks and left < LEAST_BYTES:
        raise _Red(f"the disk of {folder} is full ({left} bytes are left)", "make room on it")
    if room.f_files and not room.f_ffree:
        raise _Red(f"the disk of {folder} takes no more files", "remove some")


def _check_of(unit: Unit) -> Check:
    name = f"{unit.name} (user)" if unit.is_users else unit.name
    if not unit.has_failed:
        return Check(name, True, unit.state)
    fact = f"{unit.state}, result {unit.result}, exit code {unit.exit_code}"
    of_user = "--user " if unit.is_users else ""
    return Check(name, False, fact, f"read why: journalctl {of_user}-u {unit.name}")


def _host_and_port(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]


def _told(error: NhagentError) -> tuple[str, str]:
    """An error's fact and its next step, which every message has."""
    fact, _, next_step = str(error).partition("; ")
    next_step = next_step.removesuffix("; tried again later")
    if isinstance(error, HubError) and 300 <= (error.status or 0) < 400:
        return fact, "a captive portal or proxy stands in between: sign in there or go around it"
    if isinstance(error, HubError) and (not next_step or next_step.startswith("tried again")):
        next_step = "wait: nhagent tries again by itself; if it stays so, ask who runs the hub"
    return fact, next_step or "correct what it names"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _when(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S UTC}"


def _line(check: Check, width: int) -> str:
    word = {True: "green", False: "red", None: "-"}[check.ok]
    step = f" -> {check.next}" if check.next else ""
    return f"{word:<5}  {check.name:<{width}}  {check.fact}{step}"
