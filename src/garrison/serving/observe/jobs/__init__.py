"""What is done at intervals, whoever calls or does not: canaries, and the integrity of the served model."""
