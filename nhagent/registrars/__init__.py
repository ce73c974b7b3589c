"""Ways to make a hub know this device: as one installation, or as registrations."""
