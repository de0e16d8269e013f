"""What a model's inputs and outputs look like while all is well, made once from training data and stored as data."""
