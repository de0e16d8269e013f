"""Advisories about packages, kept in one local file: `database` reads it, `updating` writes it."""
