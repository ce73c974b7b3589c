"""The version of nhagent: its one home."""

__version__ = "0.1.0"
