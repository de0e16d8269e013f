"""Extractors of the formats that this room knows, one a module."""
