"""Text that is no format that a loader acts on."""

from garrison.sources.source import Source


def sniff(source: Source) -> bool:
    """Always: it is asked last, and only for what looks like text."""
    return True
