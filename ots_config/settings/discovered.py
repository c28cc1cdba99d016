"""Files that nobody named are trusted less: the working directory's ``.env`` and ``ots.toml`` may be others'."""

from __future__ import annotations

import os

from ots_config.errors import SettingsProblem
from ots_config.settings.context import Context
from ots_config.settings.endpoint import Endpoint
from ots_config.settings.provenance import NOT_FOUND, FoundValue

KEYS = ("access_key_id", "access_key_secret", "sts_token", "sts_expiration")

ONLY_NAMED = {
    "credentials_process": "runs a program",
    "credentials_file": "names a file of profiles, which may run a program",
    "cli_config_file": "names a file of profiles, which may run a program",
    "credentials_uri": "decides where credentials come from",
    "ecs_endpoint": "decides where credentials come from",
    "sts_endpoint": "decides where keys and tokens are sent",
    "proxies": "decides where requests are sent",
    "tls": "decides which servers are trusted",
    "allow_http": "allows requests that others can read",
}
"""What a file that nobody named may not set, and why."""

_HINT = (
    "Name the file ({env_file}, env_file= or {config_file}), or move the line to ots.toml in your own "
    "configuration directory."
)
_FAMILIES = ("OTS", "ALIBABA_CLOUD", "ALIBABACLOUD", "ALICLOUD")


def refuse(context: Context, found: FoundValue) -> bool:
    """Report a value of a discovered file that the file may not set, and return whether it is one."""
    reason = ONLY_NAMED.get(found.field.partition(".")[0])
    if reason is None:
        return False
    refusal = f"may not be set by a file that nobody named, as it {reason}"
    context.problems.append(SettingsProblem(found.field, refusal, found.origin.text, _hint(context)))
    return True


def keep_keys_of_environment(context: Context) -> None:
    """Leave out keys of such a file if the environment has keys, under any name that the credentials read."""
    provenance = context.provenance
    found = [provenance[name][0].origin for name in KEYS[:2] if name in provenance]
    places = " and ".join(dict.fromkeys(origin.source for origin in found if origin.discovered))
    other = next(filter(_has_keys, _FAMILIES), None) if places else None
    if other is None:
        return
    context.warnings.append(
        f"the keys in {places} are not used: nobody named that file, and the environment has keys "
        f"({other}_ACCESS_KEY_ID). {_hint(context)}"
    )
    for name in KEYS:
        leave_out(context, name, [each for each in provenance.get(name, []) if each.origin.discovered])


def _has_keys(family: str) -> bool:
    return all(os.environ.get(f"{family}_ACCESS_KEY_{part}", "").strip() for part in ("ID", "SECRET"))


def check_endpoint(context: Context, endpoint: Endpoint) -> None:
    """Refuse an endpoint of such a file that is someone else's, unless the keys stand in the same file."""
    place = context.provenance["endpoint"][0].origin
    if not place.discovered or endpoint.provider or endpoint.loopback:
        return
    secret = context.provenance.get("access_key_secret", [FoundValue("access_key_secret", None)])[0]
    chosen = context.provenance.get("credentials")
    if secret.origin.source == place.source and (chosen is None or chosen[0].value == "settings"):
        return
    reason = (
        "may not be set by a file that nobody named, as it is not the provider's, and the keys do not stand in that "
        "file too"
    )
    context.problems.append(SettingsProblem("endpoint", reason, place.text, _hint(context)))


def leave_out(context: Context, field: str, unused: list[FoundValue]) -> None:
    """Use none of these values of a setting; ``explain()`` shows them as overridden."""
    if unused:
        left_out = set(map(id, unused))
        kept = [each for each in context.provenance[field] if id(each) not in left_out]
        context.provenance[field] = [*(kept or [FoundValue(field, None, NOT_FOUND)]), *unused]


def _hint(context: Context) -> str:
    return _HINT.format_map({control: variable for variable, control in context.layout.controls.items()})
