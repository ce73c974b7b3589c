"""Device-side registration agent for Azure Notification Hubs."""

__version__ = "0.1.0"
