"""What is known of callables, operators and patterns, as data, and the code that looks it up."""
