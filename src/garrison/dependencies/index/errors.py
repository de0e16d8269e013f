"""What can go wrong with an index."""

from garrison.core.errors import GarrisonError


class Unavailable(GarrisonError):
    """The index did not answer, or not in a way that can be used."""
