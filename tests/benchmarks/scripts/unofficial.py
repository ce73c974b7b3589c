"""The same through azure-notification-hub-unofficial, as far as it can.

It has no list of one channel: a first start lists all, for which it needs a key with all rights. It has no
call that writes a registration.
"""

import json
import sys
import uuid

from azure_notification_hub import NotificationHubsClient


def main() -> None:
    job, _, connection, _, folder, handle = sys.argv[1:]
    path = f"{folder}/device.json"
    with NotificationHubsClient(connection, "h") as hub:
        if job == "first":
            assert not [row for row in hub.list_registrations() if row.get("GcmRegistrationId") == handle]
            device = str(uuid.uuid4())
        else:
            with open(path) as file:
                kept = json.load(file)
            device = kept["id"]
        if job == "rotated":
            assert kept["handle"] != handle
            hub.update_installation(device, [{"op": "replace", "path": "/pushChannel", "value": handle}])
        else:
            hub.create_or_update_installation(
                {"installationId": device, "platform": "gcm", "pushChannel": handle}
            )
    with open(path, "w") as file:
        json.dump({"id": device, "handle": handle}, file)
