"""Personal data in text, by shapes and checksums: what has neither, such as names, is not seen."""
