"""Labels that arrive later: performance, and fairness between groups."""
