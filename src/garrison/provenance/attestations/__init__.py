"""Attestations: what somebody says about a model, signed, so that it can be checked elsewhere and later."""
