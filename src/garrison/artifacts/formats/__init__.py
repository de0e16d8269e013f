"""One extractor a format."""
