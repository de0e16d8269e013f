"""Bills of materials: which models, data sets, packages and files there are, and how they hang together."""
