"""What each principal asks over time: searches, extraction, and how much of the model has been given away."""
