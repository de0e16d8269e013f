"""Evasion of classifiers of texts: changes of words that people read through and models do not."""
