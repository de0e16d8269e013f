"""What robustness cards say, judged."""
