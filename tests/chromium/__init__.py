"""A real headless Chromium looks at the emulator's page. Debian's package ``chromium`` is what is driven."""
