"""The settings as a table for people, made from the model so that it is never out of date."""

from __future__ import annotations

from ots_config.settings.ledger import layout, show
from ots_config.settings.model import OTSSettings
from ots_config.settings.names import ALIASES, variable

_DERIVED = {
    "endpoint": "derived from region, instance and network",
    "instance_name": "derived from endpoint",
    "region": "derived from endpoint",
}


def settings_table() -> str:
    """Return all settings as a Markdown table: name, environment variable, default, meaning."""
    lines = ["| setting | environment variable | default | meaning |", "|---|---|---|---|"]
    for leaf in layout(OTSSettings).leaves.values():
        aliases = [alias for alias, field in ALIASES.items() if field == leaf.name]
        variables = " or ".join(f"`{name}`" for name in (variable(leaf.name), *aliases))
        default = _DERIVED.get(leaf.name) or f"`{show(leaf.name, leaf.default)}`"
        lines.append(f"| `{leaf.name}` | {variables} | {default} | {leaf.meaning} |")
    return "\n".join(lines) + "\n"
