"""What is known to come of calling a few functions and classes, without calling them.

Each rule follows its original exactly or gives `UNKNOWN`.
"""
