#!/bin/sh
# Runs the backend before the hub of `nhagent emulator exec`, with two users, whose devices' tokens it prints.
set -eu
backend=$(dirname "$0")
export HUB_NAME="$NOTIFICATION_HUB" HUB_CONNECTION_STRING="$NOTIFICATION_HUB_FULL" HUB_CA="${NOTIFICATION_HUB_CA:-}"
export DATABASE_URL="sqlite:///$(mktemp -d)/backend.sqlite"
echo "ANNA=$(flask --app "$backend" add-user anna)"
echo "BOB=$(flask --app "$backend" add-user bob)"
exec flask --app "$backend" run
