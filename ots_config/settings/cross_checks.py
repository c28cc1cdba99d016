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
_ID_PREFIXES = ("LTAI", "STS.")
_COMPARED = ("region", "instance_name", "network", "allow_http", "signature", "role_via")
"""Settings whose accepted values are compared with those of others."""


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
        # Without values that were left out.
        self.given = {name: each[0] for name, each in context.provenance.items() if each[0].origin != NOT_FOUND}
        self.accepted: dict[str, Any] = {}
        self.refused: set[str] = set()
        for name in _COMPARED:
            if name in self.given:
                try:
                    self.accepted[name] = context.layout.leaves[name].accept(self.given[name].value)
                except Refusal:
                    self.refused.add(name)

    def _derive(self, field: str, value: str, source: str) -> None:
        self.derived.append(FoundValue(field, value, Origin(f"{DERIVED} {source}", DERIVED)))

    def _problem(self, field: str, reason: str, hint: str) -> None:
        origin = self.given[field].origin.text if field in self.given else "no source"
        self.context.problems.append(SettingsProblem(field, reason, origin, hint))

    def _missing(self, field: str, reason: str, hint: str, *fields: str) -> None:
        """Report what is not set, unless another problem is why; a misspelt name that is the cause is the hint."""
        fields = fields or (field,)
        if self.context.complete and self.context.attempted.isdisjoint(fields):
            self._problem(field, reason, self.context.hint(hint, *fields))

    def _contradiction(self, field: str, own: str) -> None:
        name = field.removesuffix("_name")
        self._problem(
            field, f"contradicts the endpoint, whose {name} is {own}", f"Correct one of them, or remove {field}."
        )

    def _variable(self, field: str) -> str:
        return f"{field} ({self.context.layout.names[field]})"

    # --- endpoint, instance, region, network ----------------------------------------------------------

    def endpoint(self) -> None:
        """Derive endpoint, instance, region and network from each other."""
        if "endpoint" not in self.given:
            self._make_endpoint()
            return
        winner = self.given["endpoint"]
        try:
            endpoint = endpoints.parse(winner.value)
        except Refusal:
            return
        self.context.provenance["endpoint"][0] = winner._replace(value=endpoint)  # so that it is parsed once
        self._check_scheme(endpoint)
        discovered.check_endpoint(self.context, endpoint)
        self._match_instance(endpoint)
        for field, own in (("region", endpoint.region), ("network", endpoint.network)):
            if own is None or field in self.refused:
                continue
            if field not in self.accepted:
                self._derive(field, own, "endpoint")
            elif self.accepted[field] != own:
                self._contradiction(field, own)
        if endpoint.unusual:
            self.context.warnings.append(
                f"endpoint ({winner.origin.text}): the host is the provider's, but does not have the form of an "
                "instance's endpoint, INSTANCE.REGION.ots.aliyuncs.com"
            )

    def _check_scheme(self, endpoint: endpoints.Endpoint) -> None:
        allowed = self.accepted.get("allow_http") or "allow_http" in self.refused
        reported = any(problem.field == "allow_http" for problem in self.context.problems)
        if not (endpoint.secure or endpoint.loopback or allowed or reported):
            self._problem(
                "endpoint",
                "is http, so that others in the network can read rows and tokens",
                f"Write https://, or set {self._variable('allow_http')} to true if the network is private.",
            )

    def _match_instance(self, endpoint: endpoints.Endpoint) -> None:
        given, own = self.accepted.get("instance_name"), endpoint.instance
        if "instance_name" in self.refused:
            return
        if endpoint.binding is not None:
            own = self._bound_instance(endpoint.binding, given)
        if given is None and own is None:
            why = "is an old VPC binding with several hyphens" if endpoint.binding else "does not name it"
            hint = f"Set {self._variable('instance_name')}."
            self._missing("instance_name", f"is not set, and the endpoint {why}", hint)
        elif given is None:
            self._derive("instance_name", str(own), "endpoint")
        elif own is not None and given.lower() != own.lower():
            self._contradiction("instance_name", own)
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
        if self.refused & {"region", "instance_name", "network"}:
            return
        missing = [field for field in ("region", "instance_name") if field not in self.accepted]
        if missing:
            reason = f"is not set, and cannot be derived without {' and '.join(missing)}"
            hint = f"Set {self._variable('endpoint')}, or region and instance_name."
            self._missing("endpoint", reason, hint, "endpoint", *missing)
            return
        region, instance = self.accepted["region"], self.accepted["instance_name"]
        if region not in endpoints.REGIONS:
            self.context.warnings.append(
                f"region ({self.given['region'].origin.text}): it is not one of the regions that are known"
            )
        network = self.accepted.get("network", "public")
        self._derive(
            "endpoint", endpoints.make(region, instance, network), f"region, instance_name and network {network}"
        )
        self._check_instance_name(instance)
        if network == "dual-stack" and region not in endpoints.DUAL_STACK_REGIONS:
            self.context.warnings.append(
                "network: the region is not known to have dual-stack endpoints; public may be meant"
            )

    def _check_instance_name(self, instance: str) -> None:
        """Warn of a name that breaks the service's rules for names that people choose."""
        name = instance.lower()
        if not re.fullmatch(r"[a-z][a-z0-9-]{1,14}[a-z0-9]", name) or any(part in name for part in _RESERVED):
            self.context.warnings.append(
                f"instance_name ({self.given['instance_name'].origin.text}): the service's names have 3 to 16 letters, "
                "digits and hyphens, begin with a letter, do not end with a hyphen, and contain none of "
                + ", ".join(_RESERVED)
            )

    def signature(self) -> None:
        """Check that V4 has a region to sign for."""
        known = "region" in self.given or any(found.field == "region" for found in self.derived)
        if self.accepted.get("signature") == "v4" and not known and not self._unparsed("endpoint"):
            reason = "is v4, which needs a region, but region is not set and not in the endpoint"
            hint = self.context.hint(f"Set {self._variable('region')}.", "region")
            self._problem("signature", reason, hint)

    def _unparsed(self, field: str) -> bool:
        """Whether a setting is given and will be refused."""
        try:
            if field in self.given:
                self.context.layout.leaves[field].accept(self.given[field].value)
        except Refusal:
            return True
        return False

    # --- keys and roles -------------------------------------------------------------------------------

    def keys(self) -> None:
        """Check that key, secret and token belong together: the id may stand elsewhere, secret and token may not."""
        key, secret = self.given.get("access_key_id"), self.given.get("access_key_secret")
        if key is None or secret is None:
            self._incomplete(key, secret)
            return
        for name in ("sts_token", "sts_expiration"):
            self._check_token(name, secret)
        self._check_forms(key, secret)
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

    def _check_forms(self, key: FoundValue, secret: FoundValue) -> None:
        """Check that the id and the secret are not exchanged, and that the id of temporary keys has a token."""
        text = secret.value.get_secret_value() if isinstance(secret.value, SecretStr) else ""
        identity = key.value if isinstance(key.value, str) else ""
        if text.startswith(_ID_PREFIXES) and not identity.startswith(_ID_PREFIXES):
            self._problem("access_key_id", "seems to be the secret, and access_key_secret the id", "Exchange the two.")
        token = self.context.provenance.get("sts_token", [FoundValue("sts_token", None)])[0].value
        if identity.startswith("STS.") and (token is None or _is_empty(token)):
            self._missing(
                "sts_token",
                f"is not set, but access_key_id is that of temporary keys ({key.origin.text})",
                f"Set sts_token where access_key_secret is set ({secret.origin.text}).",
            )

    def _check_token(self, name: str, secret: FoundValue) -> None:
        """Leave out a token, or the time at which one ends, that does not come from where the secret does."""
        token = self.given.get(name)
        if token is None or _is_empty(token.value):
            return
        elsewhere = [each for each in self.context.provenance[name] if each.origin.source != secret.origin.source]
        discovered.leave_out(self.context, name, elsewhere)
        if any(each is token for each in elsewhere):
            self.context.warnings.append(
                f"{name} ({token.origin.text}) is not used: it does not belong to the secret of the keys, which comes "
                f"from {secret.origin.text}"
            )

    def _incomplete(self, key: FoundValue | None, secret: FoundValue | None) -> None:
        hint = "Set access_key_id and access_key_secret together, or neither."
        for present, absent in ((key, "access_key_secret"), (secret, "access_key_id")):
            if present is not None:
                self._missing(absent, f"is not set, but {present.field} is ({present.origin.text})", hint)
                return
        self.context.warnings += self.context.unused_keys
        for name in ("sts_token", "sts_expiration"):
            token = self.given.get(name)
            if token is not None and not _is_empty(token.value):
                reason = "is set without the keys that it belongs to"
                self._missing(name, reason, hint, "access_key_id", "access_key_secret")

    def roles(self) -> None:
        """Check that roles on the way lead to a last one."""
        if "role_via" in self.accepted and "role_arn" not in self.given:
            hint = "Name the last role in role_arn."
            self._missing("role_via", "is set, but there is no role_arn", hint, "role_arn")


def _is_empty(token: Any) -> bool:
    """Whether a token is the empty text, which says that there is none."""
    return isinstance(token, SecretStr) and not token.get_secret_value()
