"""What a model gives away: who was trained on, hidden attributes, how a class looks, and the model itself."""
