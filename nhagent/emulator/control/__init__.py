"""The control routes under ``/_emulator``: how other processes watch the hub, and make things go wrong."""
