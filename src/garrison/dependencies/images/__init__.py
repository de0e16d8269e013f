"""Container images: what is in them, layer by layer, read as streams."""
