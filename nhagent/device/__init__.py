"""What this device is, remembers and keeps secret: machine, folders, state, credentials. Knows no hub."""
