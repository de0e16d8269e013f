"""Exit codes, the same for every command."""

PASSED = 0
"""Policy lets it through."""
DENIED = 1
"""Policy denies it."""
USAGE = 2
"""The command was used wrongly: no such path, an unknown rule, a policy that does not parse, an unwritable output."""
FAILED = 3
"""garrison itself failed."""
INTERRUPTED = 130
"""Ctrl-C, by the shells' convention of 128 and the signal's number."""
