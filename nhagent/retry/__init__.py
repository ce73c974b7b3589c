"""When to try again, and who waits."""
