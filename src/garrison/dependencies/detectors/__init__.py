"""Detectors: from facts to findings, with advisories and lists of names as knowledge."""
