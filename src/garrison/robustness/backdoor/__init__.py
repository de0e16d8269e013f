"""Backdoors in the model itself: a small change that sends whatever it is put on to one class."""

from garrison.robustness.backdoor.judging import triggers

__all__ = ["triggers"]
