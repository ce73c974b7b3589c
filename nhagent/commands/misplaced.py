"""Say where a key of the configuration belongs that stands where nobody reads it.

Only a configuration that is refused needs this.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_KEYS_OF_THEIR_OWN: Final = frozenset({"receive", "hooks", "metrics"})
"""Tables whose keys mean something else than those that are misplaced."""
_CREDENTIAL: Final = (
    'the connection string is not kept here: store it with "nhagent login", or name a file that holds it and '
    "that only its owner can read in $NHAGENT_CONNECTION_STRING_FILE"
)
_OTHER_NAMES: Final = {
    **dict.fromkeys(
        (
            *("connectionstring", "sharedaccesskey", "sharedaccesskeyname", "sharedaccesssignature"),
            *("key", "accesskey", "secret", "sas", "sastoken", "token", "password", "listen", "credentials"),
        ),
        _CREDENTIAL,
    ),
    **dict.fromkeys(("hubname", "notificationhub", "hubs"), "write it as name in [hub]"),
    **dict.fromkeys(("namespace", "url", "address", "host", "server"), "write it as endpoint in [hub]"),
    **dict.fromkeys(("ca", "cafile", "cert", "certificate", "verify"), "write it as ca_bundle in [hub]"),
    **dict.fromkeys(
        ("pushchannel", "handle", "pnshandle", "devicetoken", "registrationid", "channeluri"),
        "write it as value in [channel], or say there who gives it: file, command, env, credential or plugin",
    ),
    **dict.fromkeys(("path", "filename"), "write it as file in [channel]"),
    **dict.fromkeys(("cmd", "exec", "program", "script"), "write it as command in [channel]"),
    **dict.fromkeys(("environment", "variable"), "write it as env in [channel]"),
    **dict.fromkeys(
        ("interval", "refreshevery", "refreshinterval", "period"),
        'write it as every in [refresh]: every = "1d"',
    ),
    **dict.fromkeys(("spread", "jitter"), "write it as startup_spread in [refresh]"),
    **dict.fromkeys(("secondarytiles", "tile"), "write a table for each: [tiles.ID]"),
    **dict.fromkeys(("template", "bodytemplate"), "write a table for each: [templates.NAME]"),
    **dict.fromkeys(("user", "username"), "write it as user_id in [device]"),
    **dict.fromkeys(("variables", "pushvars"), "write it as push_variables in [device]"),
    **dict.fromkeys(("expires", "ttl", "lifetime"), 'write it as expires_after in [device]: "90d"'),
    **dict.fromkeys(("id", "deviceid"), "write it as installation_id in [device]"),
    **dict.fromkeys(
        ("xwnstype", "apnstopic"), 'write it into headers: headers = { "X-WNS-Type" = "wns/toast" }'
    ),
    **dict.fromkeys(
        ("statedir", "state", "datadir"), "set $NHAGENT_STATE_DIR: the state folder is not named here"
    ),
    **dict.fromkeys(("timeout", "deadline"), "give it with --timeout: it is not set here"),
    **dict.fromkeys(("loglevel", "log", "logging", "verbose", "debug"), "give -v or -vv: it is not set here"),
    **dict.fromkeys(
        ("proxy", "httpsproxy", "httpproxy"), "set $HTTPS_PROXY: the environment names the proxy"
    ),
}
"""What else a key is called, in small letters without marks between them, and what to write instead."""


def place_of(tables: Mapping[str, tuple[str, ...]], table: str, key: str) -> str | None:
    """Say where a key belongs.

    Args:
        tables: the keys that each table may have, by the table's name: "" for the whole file, and
            ``templates.NAME`` where the user chooses a part of the name.
        table: the name of the table that it stands in; "" for the top of the file.
        key: the key.

    Returns:
        The next step; None where nothing is known of such a key.
    """
    bare = "".join(filter(str.isalnum, key)).lower()
    if table and bare == "app":
        return "move it to the top of the file, above all tables"
    if table and bare in tables[""]:
        return f"write it as a table of its own, which begins with [{bare}]"
    for name, keys in tables.items():
        if name in _KEYS_OF_THEIR_OWN:
            continue
        meant = next((one for one in keys if one.replace("_", "") == bare), None)
        if name and meant is not None and not _is_in(table, name):
            return f"move it into [{name}]" if meant == key else f"write it as {meant} in [{name}]"
    return _OTHER_NAMES.get(bare)


def _is_in(table: str, name: str) -> bool:
    """Tell whether a table is one of those of a name, where the user has chosen a part of it."""
    is_chosen = name.endswith((".NAME", ".ID"))
    return table == name or (is_chosen and table.partition(".")[0] == name.partition(".")[0])
