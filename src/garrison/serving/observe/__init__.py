"""What goes on over time: drift, bias, searches, extraction, canaries, integrity."""
