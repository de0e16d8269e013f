"""Who is told of incidents, how, and how often."""
