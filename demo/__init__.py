"""The demo: one fictional consortium, its September 2026 as data, and the show that takes it the whole way."""
