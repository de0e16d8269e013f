"""Inputs that no honest caller sends: adversarial, foreign, personal, secret."""
