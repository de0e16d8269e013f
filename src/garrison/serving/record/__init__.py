"""The audit log: chained, signed, verifiable offline; sealed samples of what was flagged."""
