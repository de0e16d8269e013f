"""Readers of wire formats: metadata only, bounded, trusting nothing."""
