"""Speaking to a notification hub: credentials, documents, bytes and one method per operation."""
