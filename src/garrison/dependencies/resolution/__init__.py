"""Finds the versions that an installer would take today, without running any package's code."""
