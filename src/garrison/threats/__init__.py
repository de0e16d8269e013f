"""The threat frameworks that rules refer to."""
