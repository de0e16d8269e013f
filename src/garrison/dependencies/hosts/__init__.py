"""Hosts: what a machine says of itself is collected into a recording, and read from there."""

MARKER = "garrison-host.json"
"""What stands first in a recording, and tells that it is one."""
