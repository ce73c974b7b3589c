"""The page at ``/_emulator/ui/``: what the hub holds, was asked and sent. Imported when it is asked for."""
