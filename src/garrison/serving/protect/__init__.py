"""Answers that teach less: rounding, top-k, noise, truncation, by role."""
