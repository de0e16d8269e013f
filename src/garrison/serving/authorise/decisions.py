"""Who may do what: decided from roles and grants alone.

1. A grant of one of the principal's roles applies if all of its conditions hold.
2. If any grant that applies denies, the call is denied.
3. Else it is allowed if any grant that applies allows, and denied if none does.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import msgspec

from garrison.core.errors import UsageError
from garrison.serving.authorise.settings import Grant
from garrison.serving.calls import Action, Principal

_ORDINARY = frozenset({Action.HEALTH, Action.METADATA, Action.INFER, Action.EXPLAIN})
"""What `*` stands for: nothing that changes the server or tells of others."""
_ABOUT_MODELS = frozenset({"metadata", "infer", "explain", "feedback", "*"})
_ABOUT_ALL = frozenset({Action.REPOSITORY, Action.MANAGE, Action.ADMINISTER})
"""What a call that names no model does to, or tells of, all of them."""
_REMEMBERED = 4096


class Decision(msgspec.Struct, frozen=True):
    allowed: bool
    by: str
    """The role and the number of the grant that decided, counted from 1; empty where none applies."""


_NOBODY = Decision(False, "")


class Decisions:
    """Decides by one configuration. The same question is answered from memory."""

    def __init__(self, roles: Mapping[str, Iterable[Grant]], tenants: Mapping[str, str]) -> None:
        """`tenants` are those of models. Raises `UsageError` for grants that can never apply."""
        self._roles = {name: tuple(grants) for name, grants in roles.items()}
        self._tenants = dict(tenants)
        self._known: dict[object, Decision] = {}
        for name, grants in self._roles.items():
            for number, grant in enumerate(grants, 1):
                _check(f"{name} {number}", grant)

    def decide(self, principal: Principal, action: Action, model: str, version: str) -> Decision:
        """Whether a principal may do something; `model` is empty for actions that concern none."""
        attributes = tuple(principal.attributes.items()) if principal.attributes else ()
        key = (principal.roles, principal.tenant, attributes, action, model, version)
        known = self._known.get(key)
        if known is None:
            known = self._decided(principal, action, model, version)
            if len(self._known) >= _REMEMBERED:
                # Callers choose names of models and versions; what they made up is forgotten with the rest.
                self._known.clear()
            self._known[key] = known
        return known

    def _decided(self, principal: Principal, action: Action, model: str, version: str) -> Decision:
        found = _NOBODY
        for role in principal.roles:
            for number, grant in enumerate(self._roles.get(role, ()), 1):
                if not self._applies(grant, principal, action, model, version):
                    continue
                if grant.effect == "deny":
                    return Decision(False, f"{role} {number}")
                if not found.allowed:
                    found = Decision(True, f"{role} {number}")
        return found

    def _applies(self, grant: Grant, principal: Principal, action: Action, model: str, version: str) -> bool:
        if action not in grant.actions and not ("*" in grant.actions and _covered(grant, action)):
            return False
        if not model and action in _ABOUT_ALL and grant.effect == "allow" and _is_partial(grant):
            return False
        # A denial that names no model is one of them all; an allowance that names none is of none.
        models = grant.models or (("*",) if grant.effect == "deny" else ())
        if model and not any(fnmatchcase(model, pattern) for pattern in models):
            return False
        if model and not any(fnmatchcase(version, pattern) for pattern in grant.versions):
            return False
        if not any(fnmatchcase(principal.tenant, pattern) for pattern in grant.tenants):
            return False
        if grant.same_tenant and model and (self._tenants.get(model, "") or None) != principal.tenant:
            return False
        return all(principal.attributes.get(name) in values for name, values in grant.attributes.items())


def _covered(grant: Grant, action: Action) -> bool:
    # A denial of everything is one of everything.
    return grant.effect == "deny" or action in _ORDINARY


def _is_partial(grant: Grant) -> bool:
    """Whether a grant is for some models only, so that it lets nobody ask about all of them at once."""
    return grant.same_tenant or (bool(grant.models) and "*" not in grant.models)


def _check(where: str, grant: Grant) -> None:
    if not grant.actions:
        raise UsageError(f"authorise.roles.{where}: a grant names actions")
    if grant.effect == "allow" and not grant.models and _ABOUT_MODELS & set(grant.actions):
        raise UsageError(f'authorise.roles.{where}: says nothing of models; write models = ["*"] for all of them')
