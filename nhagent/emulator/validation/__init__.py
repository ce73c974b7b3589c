"""What installations and registrations may contain, in the service's own words where they are known."""
