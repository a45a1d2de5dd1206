"""The store: tapes drained into one SQLite file, events and the tables built from them, and reading them."""
