"""The key rings that the connection string can live in, each of them real, each in processes of its own."""
