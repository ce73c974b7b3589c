"""The version of nhagent: its one home."""

__version__ = "0.2.0"
