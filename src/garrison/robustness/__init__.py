"""Attacks on models, what they show, and what helps against them.

Importing this room imports no heavy library; its modules import torch when they are used, and say which extra to
install where it is missing.
"""
