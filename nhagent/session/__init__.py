"""This device's way to its hub: credentials, the hub's clock, the connection."""
