"""From what is declared to what the hub holds."""
