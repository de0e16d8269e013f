"""Who calls: keys, tokens, certificates."""
