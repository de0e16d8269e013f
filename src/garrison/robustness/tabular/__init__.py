"""Evasion of classifiers of tables: changes that are possible in the world that the table describes, at what cost."""
