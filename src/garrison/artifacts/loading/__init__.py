"""Loading what a scan let through: one loader a format, and the unpickler that resolves no other name than was seen."""
