"""From attacks to a card: what is run, what it shows, how far it can be trusted, and what to do next."""
