"""The hub's REST API: which request is which operation, who may call it, and how it is answered."""
