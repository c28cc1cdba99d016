"""What the values found imply about each other, and where they contradict each other."""

from __future__ import annotations

import re
from typing import Any

from pydantic import SecretStr

from ots_config.errors import SettingsProblem
from ots_config.settings import discovered
from ots_config.settings import endpoint as endpoints
from ots_config.settings.context import Context
from ots_config.settings.problems import Refusal
from ots_config.settings.provenance import NOT_FOUND, FoundValue, Origin

DERIVED = "derived from"

_RESERVED = ("ali", "ay", "ots", "taobao", "admin")
_CONTRADICTION = "Correct one of them, or remove {}."


def derive(context: Context) -> list[FoundValue]:
    """Return what the values found imply, and add every contradiction to the context's problems.

    Args:
        context: What the other sources found; a token that belongs to other keys is taken out of it.
    """
    discovered.keep_keys_of_environment(context)
    checks = _CrossChecks(context)
    checks.endpoint()
    checks.signature()
    checks.keys()
    checks.roles()
    return checks.derived


class _CrossChecks:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.derived: list[FoundValue] = []

    # --- what was found -------------------------------------------------------------------------------

    def _winner(self, field: str) -> FoundValue | None:
        """Return the value that is used; None if there is none, or those that there are were left out."""
        found = self.context.provenance.get(field)
        return found[0] if found and found[0].origin != NOT_FOUND else None

    def _value(self, field: str) -> Any:
        """Return the accepted value of a setting, None if it is not given or will be refused."""
        winner = self._winner(field)
        if winner is None:
            return None
        try:
            return self.context.layout.leaves[field].accept(winner.value)
        except Refusal:
            return None

    def _refused(self, *fields: str) -> bool:
        """Whether any of these settings is given and will be refused."""
        return any(self._winner(field) is not None and self._value(field) is None for field in fields)

    def _derive(self, field: str, value: str, source: str) -> None:
        self.derived.append(FoundValue(field, value, Origin(f"{DERIVED} {source}", DERIVED)))

    def _problem(self, field: str, reason: str, hint: str) -> None:
        winner = self._winner(field)
        self.context.problems.append(
            SettingsProblem(field, reason, winner.origin.text if winner else "no source", hint)
        )

    def _variable(self, field: str) -> str:
        return self.context.layout.names[field]

    # --- endpoint, instance, region, network ----------------------------------------------------------

    def endpoint(self) -> None:
        """Derive endpoint, instance, region and network from each other."""
        winner = self._winner("endpoint")
        if winner is None:
            self._make_endpoint()
            return
        try:
            endpoint = endpoints.parse(winner.value)
        except Refusal:
            return
        self._check_scheme(endpoint)
        discovered.check_endpoint(self.context, endpoint)
        self._match_instance(endpoint)
        for field, own in (("region", endpoint.region), ("network", endpoint.network)):
            given = self._value(field)
            if own is None:
                continue
            if given is None:
                if not self._refused(field):
                    self._derive(field, own, "endpoint")
            elif given != own:
                reason = f"contradicts the endpoint, whose {field} is {own}"
                self._problem(field, reason, _CONTRADICTION.format(field))
        if endpoint.unusual:
            self.context.warnings.append(
                f"endpoint ({winner.origin.text}): the host is the provider's, but does not have the form of an "
                "instance's endpoint, INSTANCE.REGION.ots.aliyuncs.com"
            )

    def _check_scheme(self, endpoint: endpoints.Endpoint) -> None:
        if endpoint.secure or endpoint.loopback or self._value("allow_http") or self._refused("allow_http"):
            return
        if any(problem.field == "allow_http" for problem in self.context.problems):
            return
        self._problem(
            "endpoint",
            "is http, so that others in the network can read rows and tokens",
            f"Write https://, or set allow_http ({self._variable('allow_http')}) to true if the network is private.",
        )

    def _match_instance(self, endpoint: endpoints.Endpoint) -> None:
        given, own = self._value("instance_name"), endpoint.instance
        if given is None and self._refused("instance_name"):
            return
        if endpoint.binding is not None:
            own = self._bound_instance(endpoint.binding, given)
        if given is None and own is None:
            if self.context.complete:
                why = "is an old VPC binding with several hyphens" if endpoint.binding else "does not name it"
                hint = self.context.hint(f"Set instance_name ({self._variable('instance_name')}).", "instance_name")
                self._problem("instance_name", f"is not set, and the endpoint {why}", hint)
        elif given is None:
            self._derive("instance_name", str(own), "endpoint")
        elif own is not None and given.lower() != own.lower():
            reason = f"contradicts the endpoint, whose instance is {own}"
            self._problem("instance_name", reason, _CONTRADICTION.format("instance_name"))
        elif own is None and not endpoint.loopback:
            self._check_instance_name(given)

    @staticmethod
    def _bound_instance(binding: str, given: str | None) -> str | None:
        """Return the instance of an old VPC binding, VPC-INSTANCE, where either may have hyphens."""
        vpc, _, instance = binding.partition("-")
        if given is not None and binding.lower().endswith(f"-{given.lower()}"):
            return given
        return instance if vpc and instance and (given is not None or "-" not in instance) else None

    def _make_endpoint(self) -> None:
        region, instance = self._value("region"), self._value("instance_name")
        network = self._value("network") or "public"
        if region is not None and instance is not None and not self._refused("network"):
            source = f"region, instance_name and network {network}"
            self._derive("endpoint", endpoints.make(region, instance, network), source)
            self._check_instance_name(instance)
            if network == "dual-stack" and region not in endpoints.DUAL_STACK_REGIONS:
                self.context.warnings.append(
                    "network: the region is not known to have dual-stack endpoints; public may be meant"
                )
        elif self.context.complete and not self._refused("region", "instance_name", "network"):
            missing = [field for field in ("region", "instance_name") if self._winner(field) is None]
            self._problem(
                "endpoint",
                f"is not set, and cannot be derived without {' and '.join(missing)}",
                self.context.hint(
                    f"Set endpoint ({self._variable('endpoint')}), or region and instance_name.", "endpoint", *missing
                ),
            )

    def _check_instance_name(self, instance: str) -> None:
        """Warn of a name that breaks the service's rules for names that people choose."""
        winner, name = self._winner("instance_name"), instance.lower()
        usual = re.fullmatch(r"[a-z][a-z0-9-]{1,14}[a-z0-9]", name) and not any(part in name for part in _RESERVED)
        if winner is not None and not usual:
            self.context.warnings.append(
                f"instance_name ({winner.origin.text}): the service's names have 3 to 16 letters, digits and hyphens, "
                f"begin with a letter, do not end with a hyphen, and contain none of {', '.join(_RESERVED)}"
            )

    # --- signing --------------------------------------------------------------------------------------

    def signature(self) -> None:
        """Check that V4 has a region to sign for."""
        known = self._value("region") or any(found.field == "region" for found in self.derived)
        if self._value("signature") == "v4" and not known and not self._refused("region", "endpoint"):
            reason = "is v4, which needs a region, but region is not set and not in the endpoint"
            hint = self.context.hint(f"Set region ({self._variable('region')}).", "region")
            self._problem("signature", reason, hint)

    def keys(self) -> None:
        """Check that key, secret and token belong together: the id may stand elsewhere, secret and token may not."""
        key, secret = self._winner("access_key_id"), self._winner("access_key_secret")
        if key is None or secret is None:
            self._incomplete(key, secret)
            return
        for name in ("sts_token", "sts_expiration"):
            self._check_token(name, secret)
        beside = [
            other.value
            for other in self.context.provenance["access_key_id"]
            if other.origin.source == secret.origin.source and isinstance(other.value, str)
        ]
        if isinstance(key.value, str) and any(other != key.value for other in beside):
            self._problem(
                "access_key_secret",
                f"belongs to another access_key_id, which is overridden by the one from {key.origin.text}",
                "Set both in the same place.",
            )

    def _check_token(self, name: str, secret: FoundValue) -> None:
        """Leave out a token, or the time at which one ends, that does not come from where the secret does."""
        token = self._winner(name)
        if token is None or _is_empty(token.value):
            return
        elsewhere = [each for each in self.context.provenance[name] if each.origin.source != secret.origin.source]
        discovered.leave_out(self.context, name, elsewhere)
        if token in elsewhere:
            self.context.warnings.append(
                f"{name} ({token.origin.text}) is not used: it does not belong to the secret of the keys, which comes "
                f"from {secret.origin.text}"
            )

    def roles(self) -> None:
        """Check that roles on the way lead to a last one."""
        if self._value("role_via") is not None and self._winner("role_arn") is None and self.context.complete:
            hint = self.context.hint("Name the last role in role_arn.", "role_arn")
            self._problem("role_via", "is set, but there is no role_arn", hint)

    def _incomplete(self, key: FoundValue | None, secret: FoundValue | None) -> None:
        hint = "Set access_key_id and access_key_secret together, or neither."
        if not self.context.complete:
            return
        if key is not None:
            hint = self.context.hint(hint, "access_key_secret")
            self._problem("access_key_secret", f"is not set, but access_key_id is ({key.origin.text})", hint)
        elif secret is not None:
            hint = self.context.hint(hint, "access_key_id")
            self._problem("access_key_id", f"is not set, but access_key_secret is ({secret.origin.text})", hint)
        else:
            for name in ("sts_token", "sts_expiration"):
                token = self._winner(name)
                if token is not None and not _is_empty(token.value):
                    hint = self.context.hint(hint, "access_key_id", "access_key_secret")
                    self._problem(name, "is set without the keys that it belongs to", hint)


def _is_empty(token: Any) -> bool:
    """Whether a token is the empty text, which says that there is none."""
    return isinstance(token, SecretStr) and not token.get_secret_value()
