"""The hub itself: its installations and registrations, and what may be done to them."""
