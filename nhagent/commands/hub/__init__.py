"""``nhagent hub``: tools for whoever runs a hub, with a key of all rights."""
