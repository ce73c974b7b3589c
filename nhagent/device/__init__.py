"""What this device remembers and provides: state, credentials, push channels. Knows nothing of hubs."""
