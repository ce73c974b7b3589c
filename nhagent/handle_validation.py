"""What cannot be a PNS handle of its platform: one rule for each.

The platforms call their handles opaque, so that no rule asks for a length, and what a platform does not
exclude passes. Refused are words that stand for "no handle" and what a wrapping leaves on one. Most handles
are told to be neither without this module (see `nhagent.push_channels`).

==================== =====================================================================================
platform             rule, and where it comes from
==================== =====================================================================================
wns, mpns            an absolute http(s) URI with a host (PushNotificationChannel.Uri,
                     HttpNotificationChannel.ChannelUri; the service's clients check it as .NET's ``Uri``)
apns                 hexadecimal digits, two a byte (``didRegisterForRemoteNotifications…``; the official
                     clients); see `nhagent.push_channels`
gcm, fcmv1           a word of base64 in either alphabet, ``:``, ``.`` and ``~``; it stands in JSON and in
                     paths of the Instance ID server. ``|ID|1|:…`` is malformed (Braze's documentation;
                     jazzband/django-push-notifications)
adm                  the same: ``amzn1.adm-registration.v3.`` and base64; it stands in the path of a send
                     (Amazon, "Send a message")
xiaomi               the same: a base64 regId; a list of them is joined by commas (Xiaomi, "Server API")
baidu                USER-CHANNEL, each of them such a word (the official .NET client; ``onBind`` gives both)
browser              see `nhagent.web_push_keys`
==================== =====================================================================================
"""

from __future__ import annotations

from nhagent.errors import ConfigurationError
from nhagent.validation import IN_HANDLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

URI_PLATFORMS: Final = frozenset({"wns", "mpns"})
"""The platforms whose handles are addresses."""
STAND_INS: Final = frozenset(
    {
        # What languages, shells and stores write for nothing: JSON, Java and SQL (pia-foss/manual-connections
        # #208), JavaScript (zo0r/react-native-push-notification#1651), Python, Ruby and Go, numbers that are
        # none. "(null)" of Objective-C (NIFCLOUD-mbaas/ncmb_ios#16), "<nil>", "(nil)" of redis-cli,
        # "[object Object]" and "Promise { … }" fall by their characters.
        *("null", "undefined", "none", "nil", "nan"),
        # Firebase's Android SDK on devices that Google has blocked (firebase/quickstart-android#212,
        # phonegap/phonegap-plugin-push#1653), and its Unity SDK in the editor ("StubToken").
        *("blacklisted", "stubtoken"),
        # Errors of a registration that apps store as its result: Google's own client (google/gcm,
        # GCMConstants), "TIMEOUT" (caffeinalab/ti.goosh#104), Firebase's SDK without Play services, and
        # without an API key that it may use.
        *("service_not_available", "account_missing", "authentication_failed", "too_many_registrations"),
        *("invalid_parameters", "invalid_sender", "phone_registration_error", "timeout"),
        *("missing_instanceid_service", "fis_auth_error", "internal_server_error", "quota_exceeded"),
        # Chromium's GCM client, whose answers push receivers read as a token.
        "deprecated_endpoint",
        # What senders are told about a handle, written back in its place (FCM's reference of errors).
        *("notregistered", "unregistered", "invalidregistration", "missingregistration", "mismatchsenderid"),
        # What apps send where there is no token: "error" (covid19cz/erouska-android#176); the others are the
        # right side of "token or …" in public apps.
        *("error", "unknown", "simulator", "simulator-token", "no_token", "no-token", "n/a"),
    }
)
"""Words that stand for "no handle", in lower case."""
_EXCEPTION: Final = "exception"


def checked_handle(name: str, platform: str, handle: str) -> str:
    """Check text that is given as a PNS handle, and give it in the form that the service keeps.

    Args:
        name: what to call it in an error.
        platform: the platform's name, but not apns or browser.
        handle: without blanks around it.

    Raises:
        ConfigurationError: it cannot be a handle of this platform. The error does not show it.
    """
    if platform in URI_PLATFORMS:
        from nhagent.absolute_uri import absolute_uri

        uri = absolute_uri(handle)
        if uri is None or is_dead_address(uri):
            raise _refused(
                name, platform, "is not an absolute http or https URI", "give the channel URI as issued"
            )
        return uri
    _check_word(name, platform, handle)
    return handle


def is_dead_address(uri: str) -> bool:
    """Whether a URI's host ends in ``.invalid``, as browsers write a subscription that was removed.

    Source: RFC 2606; Couchers-org/couchers#8212 (``https://permanently-removed.invalid/``).

    Args:
        uri: an absolute URI.
    """
    place = uri.partition("://")[2]
    end = min([at for at in map(place.find, "/?#") if at >= 0], default=len(place))
    host = place[:end].rpartition("@")[2].partition(":")[0].lower().rstrip(".")
    return host == "invalid" or host.endswith(".invalid")


def _check_word(name: str, platform: str, handle: str) -> None:
    if not IN_HANDLES.issuperset(handle) or "://" in handle:
        raise _refused(
            name,
            platform,
            "has characters that no handle has",
            "give the PNS handle alone, without quotation marks or JSON around it",
        )
    parts = handle.rpartition("-")[::2] if platform == "baidu" else (handle,)
    if platform == "baidu" and not all(parts):
        raise _refused(
            name,
            platform,
            "is not USER-CHANNEL",
            "join the user id and the channel id that Baidu gave with a -",
        )
    if any(stands_for_nothing(part) for part in parts):
        raise _refused(
            name,
            platform,
            "is a word that stands for no handle",
            "give the handle, or None while there is none",
        )


def stands_for_nothing(text: str) -> bool:
    """Tell whether text is a word for "no handle", an error's name, or has no letter and no digit."""
    word = text.casefold()
    if word in STAND_INS or word.endswith(_EXCEPTION) or not any(map(str.isalnum, word)):
        return True
    # As in "java.io.IOException:SERVICE_NOT_AVAILABLE".
    head, colon, tail = word.rpartition(":")
    return bool(colon) and (tail in STAND_INS or head.endswith(_EXCEPTION) or head in STAND_INS)


def _refused(name: str, platform: str, fact: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"{name}: no handle of platform {platform}: it {fact}", hint)
