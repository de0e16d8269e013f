"""Renderers of a report, one a file."""
