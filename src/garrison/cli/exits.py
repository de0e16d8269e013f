"""Exit codes, the same for every command."""

PASSED = 0
"""Policy lets it through."""
DENIED = 1
"""Policy denies it. Of `db status`: advisories are missing or too old; of `fix`: something is to be raised or stays; of
`disarm`: nothing could be carried over; of `sign`, `verify` and `attest`: the model is refused, or what was signed does
not hold; of `open`: the file is damaged, or sealed for somebody else; of `audit`: the log does not verify, or the
sample does not open."""
USAGE = 2
"""The command was used wrongly: no such path, an unknown rule, a policy that does not parse, an unwritable output."""
FAILED = 3
"""garrison itself failed, a source of `db update` could not be used, or an endpoint that was to be attacked."""
INTERRUPTED = 130
"""Ctrl-C, by the shells' convention of 128 and the signal's number."""
