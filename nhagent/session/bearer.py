"""The bearer token by which a backend knows this device: found, and read again where it is refused.

What the app gives stands alone: text, a callable, a file or a systemd credential. Without one, and without a
client certificate, the token is looked for in the key ring.
"""

from __future__ import annotations

import os

from nhagent import validation
from nhagent.device.secret_file import MAX_SECRET_BYTES, read_secret
from nhagent.errors import CredentialError
from nhagent.hub.token_callable import asked
from nhagent.secret import HiddenCallable, Secret
from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from nhagent.errors import Forbidden, Unauthorized
    from nhagent.hub.backend import Backend

PURPOSE: Final = "backend"
"""What a key ring's entry for it is called; see `nhagent.device.key_ring`."""
_IN_TOKENS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=")
"""What RFC 6750 lets stand in a bearer token."""


class TokenFile(Value):
    """Gives the token in a file: a callable, as `nhagent.hub.backend.Backend` takes it.

    Attributes:
        path: the file's.
        name: what to call it in an error.
        private: refuse it where others may read it.
    """

    path: str
    name: str = "token file"
    private: bool = True

    def __call__(self) -> str:
        """Read the token."""
        return read_secret(self.path, self.name, private=self.private)


def token_in_credential(name: str, environ: Mapping[str, str] = os.environ) -> TokenFile:
    """Give the callable that reads a systemd credential.

    Args:
        name: the credential's.
        environ: the environment.

    Raises:
        CredentialError: systemd handed none over.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder or "/" in name:
        raise CredentialError(
            f"systemd credential {validation.shown(name)}: was not handed over",
            "name it in the unit: LoadCredential= or LoadCredentialEncrypted=",
        )
    return TokenFile(f"{folder}/{name}", f"systemd credential {name}", private=False)


class Bearer(Value):
    """A token and where it came from.

    Attributes:
        name: where it came from, to be shown.
        key: the token; None: there is none, and a certificate stands for it.
    """

    name: str
    key: Secret[str] | None
    _hidden = frozenset({"key"})


class BearerChain:
    """Finds the token to send, and reads it again where it is refused; as `CredentialChain` does with keys.

    Args:
        app: names the key ring entry.
        backend: what is asked.
    """

    def __init__(self, app: str, backend: Backend) -> None:
        self._app = app
        self._backend = backend
        self.endpoint = backend.url
        self.current: Bearer | None = None
        """The token in use; None before it was looked for, and where none was found."""
        self._refused: Secret[str] | None = None

    @property
    def address(self) -> str:
        """The backend's URL."""
        return self._backend.url

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the token comes from."""
        given = self._backend.token
        path = getattr(given.reveal_call() if isinstance(given, HiddenCallable) else None, "path", None)
        return (path,) if isinstance(path, str) else ()

    def namespace(self) -> str:
        """Give the place to register at.

        Raises:
            CredentialError: the token that is given cannot be used.
        """
        self.current = self._given()
        return self._backend.place

    def namespace_at_any_cost(self, seconds: float | None = None) -> str:
        """Give the place to register at, with the token from a key ring if from nowhere else.

        Args:
            seconds: how long the key rings may take; None: as long as they ever may.

        Raises:
            CredentialError: there is no token, or none that can be used.
        """
        self.current = self._given()
        if self.current is None:
            from nhagent.device.key_ring import KEYRING_SECONDS, kept_in_keyring

            limit = KEYRING_SECONDS if seconds is None else min(seconds, KEYRING_SECONDS)
            text = kept_in_keyring(self._app, self._backend.name, PURPOSE, seconds=limit)
            if text is None:
                raise CredentialError(
                    f"backend {self._backend.name!r}: there is no token for app {self._app!r}",
                    "give token, token_file, token_credential or client_cert, or run: nhagent login",
                )
            self.current = Bearer("the key ring", checked_token(text, "the key ring"))
        return self._backend.place

    def token(self) -> Secret[str] | None:
        """Give the token in use."""
        return None if self.current is None else self.current.key

    def replace_refused(self, error: Unauthorized | Forbidden) -> None:
        """Read the token again after a 401: somebody may have put another one there.

        Args:
            error: how the backend refused the one in use.

        Raises:
            Unauthorized, Forbidden: it is the same, or was refused before.
        """
        refused = self.current
        assert refused is not None
        is_first = self._refused is None
        self._refused = refused.key
        if is_first:
            self.namespace_at_any_cost()
            if self.current is not None and self.current.key != refused.key:
                return
        self._refused = None
        error.fact += f"; it is that of {refused.name}"
        error.args = (error.fact, error.hint)
        raise error

    def accepted(self) -> None:
        """The backend has taken the token: a later one that is refused is read again, too."""
        self._refused = None

    def _given(self) -> Bearer | None:
        given = self._backend.token
        if isinstance(given, HiddenCallable):
            call = given.reveal_call()
            if isinstance(call, TokenFile):
                return Bearer(call.name, checked_token(call(), call.name))
            return Bearer("the token callable", checked_token(asked(given), "the token callable"))
        if given is not None:
            return Bearer("token", checked_token(given.reveal(), "token"))
        if self._backend.client_cert is not None:
            return Bearer("client_cert", None)
        return None


def checked_token(text: object, source: str) -> Secret[str]:
    """Check that a text can be a bearer token.

    Args:
        text: the text.
        source: where it came from, to be named in an error.

    Raises:
        CredentialError: it cannot: no error shows it.
    """
    token = text.strip() if isinstance(text, str) else ""
    if not token or len(token) > MAX_SECRET_BYTES or not _IN_TOKENS.issuperset(token):
        what = "is a connection string" if "SharedAccessKey" in token else "holds no bearer token"
        raise CredentialError(f"{source}: {what}", "put the backend's token there, alone")
    return Secret(token)
