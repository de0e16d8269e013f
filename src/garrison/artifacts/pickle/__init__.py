"""Pickle: an abstract machine that follows CPython's unpickler and states what loading would resolve and call."""
