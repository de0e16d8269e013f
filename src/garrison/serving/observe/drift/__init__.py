"""Whether what comes in, and what goes out, is still what the reference looks like."""
