"""Why a sealed file does not open, by what is wrong with it."""

from garrison.provenance.trust import Refused


class MalformedArmor(Refused):
    """The ASCII armor is not as strict as the format asks."""


class MalformedHeader(Refused):
    """The header breaks the format, or a stanza for one of the identities does."""


class NoMatch(Refused):
    """None of the identities opens it."""


class AlteredHeader(Refused):
    """The header is not the one that the file was sealed with."""


class DamagedPayload(Refused):
    """What is sealed was altered, cut off, reordered or extended."""
