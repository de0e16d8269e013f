"""Model files: one extractor a format, and the detectors that judge what the extractors state."""
