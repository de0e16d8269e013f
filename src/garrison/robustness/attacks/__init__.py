"""Attacks that change an input until the model is wrong, one a module."""
