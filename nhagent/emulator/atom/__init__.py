"""Registration descriptions, and the Atom documents that carry them."""
