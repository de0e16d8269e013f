"""Renderers of a robustness card, one a file."""
