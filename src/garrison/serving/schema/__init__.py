"""What a model takes: datatypes, shapes, ranges, parameters, by the guard's own word."""
