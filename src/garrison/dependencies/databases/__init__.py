"""Databases of operating systems' packages, read by their bytes."""
