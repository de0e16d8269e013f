"""Tell from a sequence of queries that somebody searches for adversarial inputs, or copies the model.

One query of such a search looks like any other. What gives it away is how it follows from earlier ones. NumPy alone.
"""
