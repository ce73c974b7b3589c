"""Programs on top of the library: the command, its configuration, the demo."""
