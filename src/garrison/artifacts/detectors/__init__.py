"""Detectors: they read facts, never files."""
