"""How much a caller may ask: rates, places, cost, quotas, time."""
