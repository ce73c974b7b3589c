"""The table ``[backend]`` of a configuration: where the app's backend is, and who the device is there."""

from __future__ import annotations

from nhagent.errors import ConfigurationError
from nhagent.hub.backend import Backend
from nhagent.session.bearer import TokenFile, token_in_credential

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from collections.abc import Callable

    from nhagent.commands.toml_table import TomlTable


def read_backend(table: TomlTable, path_in: Callable[[TomlTable, str], str | None]) -> Backend:
    """Read the table.

    Args:
        table: the table.
        path_in: reads a path in it.

    Raises:
        ConfigurationError: something in it is wrong.
        CredentialError: systemd did not hand over the credential that it names.
    """
    token_file, credential = path_in(table, "token_file"), table.text("token_credential", None)
    if token_file is not None and credential is not None:
        raise ConfigurationError("backend.token_file: there is a token_credential beside it", "keep one")
    token = None if token_file is None else TokenFile(token_file)
    if credential is not None:
        token = token_in_credential(credential)
    certificate, key = path_in(table, "client_cert"), path_in(table, "client_key")
    if certificate is None and key is not None:
        raise ConfigurationError("backend.client_key: there is no client_cert", "name the certificate too")
    return Backend(
        table.text("name"),
        table.text("url"),
        token=token,
        client_cert=None if certificate is None else (certificate, key or certificate),
        ca_bundle=path_in(table, "ca_bundle"),
    )
