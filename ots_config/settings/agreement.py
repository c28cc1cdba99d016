"""What the settings found imply about each other, and where they contradict each other."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from ots_config.errors import SettingsProblem
from ots_config.settings import endpoint as endpoints
from ots_config.settings.checks import unusual
from ots_config.settings.ledger import Found
from ots_config.settings.problems import Refusal
from ots_config.settings.reading import Reading

DERIVED = "derived from"
_KEYS = ("access_key_id", "access_key_secret")


def agree(reading: Reading, rank: int) -> list[Found]:
    """Derive what is missing from what is there, and add every contradiction to the reading's problems.

    Args:
        reading: All that the other sources found; a token that belongs to other keys is taken out of it.
        rank: The rank of what is derived.
    """
    agreement = _Agreement(reading, rank)
    agreement.places()
    agreement.signature()
    agreement.keys()
    return agreement.derived


class _Agreement:
    def __init__(self, reading: Reading, rank: int) -> None:
        self.reading = reading
        self.rank = rank
        self.derived: list[Found] = []

    # --- what is there --------------------------------------------------------------------------------

    def _winner(self, field: str) -> Found | None:
        found = self.reading.ledger.get(field)
        return found[0] if found else None

    def _value(self, field: str) -> Any:
        """Return the accepted value of a setting, None if it is not given or will be refused."""
        winner, check = self._winner(field), self.reading.layout.leaves[field].check
        if winner is None or check is None:
            return None
        try:
            return check(winner.value)
        except Refusal:
            return None

    def _refused(self, *fields: str) -> bool:
        """Whether any of these settings is given and will be refused."""
        return any(self._winner(field) is not None and self._value(field) is None for field in fields)

    def _derive(self, field: str, value: str, source: str) -> None:
        self.derived.append(Found(field, value, f"{DERIVED} {source}", self.rank))

    def _fault(self, field: str, reason: str, hint: str) -> None:
        winner = self._winner(field)
        self.reading.problems.append(SettingsProblem(field, reason, winner.origin if winner else "no source", hint))

    # --- endpoint, instance, region, network ----------------------------------------------------------

    def places(self) -> None:
        """Let endpoint, instance, region and network tell of each other."""
        winner = self._winner("endpoint")
        if winner is None:
            self._make_endpoint()
            return
        try:
            endpoint = endpoints.parse(winner.value)
        except Refusal:
            return
        self._check_scheme(endpoint)
        self._match_instance(endpoint)
        for field, own in (("region", endpoint.region), ("network", endpoint.network)):
            given = self._value(field)
            if own is None:
                continue
            if given is None:
                if not self._refused(field):
                    self._derive(field, own, "endpoint")
            elif given != own:
                self._fault(
                    field,
                    f"it contradicts the endpoint, whose {field} is {own}",
                    f"Correct one of them, or leave {field} out.",
                )
        if endpoint.odd:
            self.reading.doubts.append(
                f"endpoint ({winner.origin}): the host is the provider's, but has not the form of an instance's "
                "endpoint, INSTANCE.REGION.ots.aliyuncs.com"
            )

    def _check_scheme(self, endpoint: endpoints.Endpoint) -> None:
        if endpoint.secure or endpoint.loopback or self._value("allow_http") or self._refused("allow_http"):
            return
        self._fault(
            "endpoint",
            "it is http, which shows rows and tokens to everybody on the way",
            "Write https://, or set allow_http (OTS_ALLOW_HTTP) to true if the network is private.",
        )

    def _match_instance(self, endpoint: endpoints.Endpoint) -> None:
        given, own = self._value("instance_name"), endpoint.instance
        if given is None and self._refused("instance_name"):
            return
        if endpoint.binding is not None:
            own = self._bound_instance(endpoint.binding, given)
        if given is None and own is None:
            if self.reading.whole:
                why = "is an old VPC binding with several hyphens" if endpoint.binding else "does not name it"
                self._fault(
                    "instance_name",
                    f"it is not set, and the endpoint {why}",
                    "Set instance_name (OTS_INSTANCE_NAME).",
                )
        elif given is None:
            self._derive("instance_name", str(own), "endpoint")
        elif own is not None and given.lower() != own.lower():
            self._fault(
                "instance_name",
                f"it contradicts the endpoint, whose instance is {own}",
                "Correct one of them, or leave instance_name out.",
            )
        elif own is None and not endpoint.loopback:
            self._doubt_name(given)

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
            self._derive(
                "endpoint",
                endpoints.make(region, instance, network),
                f"region, instance_name and network {network}",
            )
            self._doubt_name(instance)
            if network == "dual-stack" and region not in endpoints.DUAL_STACK_REGIONS:
                self.reading.doubts.append(
                    "network: the region is not known to have dual-stack endpoints; public may be meant"
                )
        elif self.reading.whole and not self._refused("region", "instance_name", "network"):
            missing = [field for field in ("region", "instance_name") if self._winner(field) is None]
            self._fault(
                "endpoint",
                f"it is not set, and cannot be derived without {' and '.join(missing)}",
                "Set endpoint (OTS_ENDPOINT), or region and instance_name.",
            )

    def _doubt_name(self, instance: str) -> None:
        winner = self._winner("instance_name")
        if winner is not None and unusual(instance):
            self.reading.doubts.append(
                f"instance_name ({winner.origin}): the service's names have 3 to 16 letters, digits and hyphens, "
                "begin with a letter, do not end with a hyphen, and hold none of ali, ay, ots, taobao, admin"
            )

    # --- signing --------------------------------------------------------------------------------------

    def signature(self) -> None:
        """Signature V4 is made for a region."""
        known = self._value("region") or any(found.field == "region" for found in self.derived)
        if self._value("signature") == "v4" and not known and not self._refused("region", "endpoint"):
            self._fault(
                "signature",
                "v4 needs the region, which is not set and not in the endpoint",
                "Set region (OTS_REGION).",
            )

    def keys(self) -> None:
        """Key, secret and token belong together: none may come from another set."""
        key, secret = (self._winner(field) for field in _KEYS)
        token = self._winner("sts_token")
        if token is not None and token.value == SecretStr(""):
            token = None
        if key is None or secret is None:
            self._incomplete(key, secret, token)
            return
        if token is not None and token.rank > max(key.rank, secret.rank):
            self.reading.doubts.append(
                f"sts_token ({token.origin}) is left out: it does not belong to the keys, which come from {key.origin}"
            )
            overridden = self.reading.ledger["sts_token"]
            self.reading.ledger["sts_token"] = [Found("sts_token", None, "default", self.rank), *overridden]
        others = self.reading.ledger["access_key_id"][1:]
        if key.rank < secret.rank and any(other.rank == secret.rank and other.value != key.value for other in others):
            self._fault(
                "access_key_secret",
                f"it belongs to another access_key_id, which is overridden by the one from {key.origin}",
                "Give both in the same place.",
            )

    def _incomplete(self, key: Found | None, secret: Found | None, token: Found | None) -> None:
        hint = "Give access_key_id and access_key_secret together, or neither."
        if not self.reading.whole:
            return
        if key is not None:
            self._fault("access_key_secret", f"it is not set, but access_key_id is ({key.origin})", hint)
        elif secret is not None:
            self._fault("access_key_id", f"it is not set, but access_key_secret is ({secret.origin})", hint)
        elif token is not None:
            self._fault("sts_token", "it is set without the keys that it belongs to", hint)
