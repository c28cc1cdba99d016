"""Typed settings: found in many places, validated, frozen, each with the place that its value came from."""

from ots_config.settings.fields import RetrySettings, TLSSettings
from ots_config.settings.model import OTSSettings, settings_table
from ots_config.settings.problems import SettingsWarning
from ots_config.settings.provenance import Explanation

__all__ = [
    "Explanation",
    "OTSSettings",
    "RetrySettings",
    "SettingsWarning",
    "TLSSettings",
    "settings_table",
]
