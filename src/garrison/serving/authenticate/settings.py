"""What can be configured of how callers show who they are."""

from typing import Annotated, Literal

import msgspec

from garrison.serving.config.paths import ConfigPath

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""RFC 7518, RFC 8037 and RFC 9864; none that is symmetric, or none at all."""
Seconds = Annotated[float, msgspec.Meta(ge=0, le=366 * 86400)]


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Whose tokens (JWT) are taken."""

    issuer: str
    """The claim `iss`, to the letter."""
    audiences: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """One of them must be in the claim `aud`."""
    jwks_uri: str = ""
    """Where the issuer's keys are; by default what its OpenID discovery document says."""
    jwks_file: ConfigPath = ""
    """A file of the keys in place of that, so that nobody is asked."""
    authorities: ConfigPath = ""
    """A PEM file of authorities in place of the system's, for an issuer of one's own."""
    algorithms: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
    types: tuple[str, ...] = ("", "JWT", "at+jwt", "application/at+jwt")
    """Values of the header `typ`; the empty one stands for none."""
    principal: str = "sub"
    """The claim that names the principal."""
    prefix: str = ""
    """What its principals' names begin with here, so that those of several issuers are not one."""
    roles: str = "roles"
    """The claim with the roles: a list, or a text with spaces."""
    role_names: dict[str, str] = {}
    """When given, what roles are called here, by what the issuer calls them; others count for nothing."""
    tenant: str = ""
    """The claim with the tenant."""
    attributes: dict[str, str] = {}
    """Names of attributes, and the claims that they are taken from."""
    leeway: Annotated[float, msgspec.Meta(ge=0, le=300)] = 30.0
    """By so many seconds clocks may differ."""
    longest: Seconds = 86400.0
    """The longest life of a token, from `iat` to `exp`."""
    once: bool = False
    """Whether a token is good for one call only, by its claim `jti`."""
    bound: bool = False
    """Whether a token must be bound to the client's certificate (RFC 8705)."""
    refresh: Annotated[float, msgspec.Meta(ge=10)] = 300.0
    """Seconds between looks at the issuer's keys."""
    stale: Seconds = 86400.0
    """For so long keys are used when the issuer does not answer."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Whose certificates are taken, of those that an authority in `listen.client-authorities` has issued."""

    uri: str = ""
    """A shell pattern over a URI in the subject's alternative names, such as a SPIFFE ID."""
    dns: str = ""
    """The same over a DNS name."""
    sha256: str = ""
    """Of the certificate itself (DER), in hexadecimal."""
    principal: str = ""
    """Who that is; the name that matched when empty."""
    roles: tuple[str, ...] = ()
    tenant: str = ""


class Anonymous(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What callers are who show nothing."""

    roles: tuple[str, ...]


class Authenticate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """How callers show who they are; without any way, nobody is let in."""

    keys: ConfigPath = ""
    """The file of API keys, which `garrison guard key` writes."""
    issuers: tuple[Issuer, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    anonymous: Anonymous | None = None
    attempts: Annotated[int, msgspec.Meta(ge=1)] = 30
    """Bad credentials from one address in a minute, after which tokens from there that are not known are not even
    looked at."""
    on_failure: Literal["closed"] = "closed"
    """Nobody is let in unknown."""
