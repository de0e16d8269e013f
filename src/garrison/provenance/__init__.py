"""Provenance: sign, verify, attest, describe, seal and gate, so that what passed a scan stays what passed it."""
