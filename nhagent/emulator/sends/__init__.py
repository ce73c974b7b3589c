"""Sends: who is meant, what each device would receive, and why others would not."""
