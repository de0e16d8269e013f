"""Probes: each reads one side of a recorded host and states settings, with what it could not tell."""
