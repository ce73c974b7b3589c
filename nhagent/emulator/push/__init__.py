"""A push service in the emulator: Mozilla autopush's protocol for devices, RFC 8030 for senders."""
