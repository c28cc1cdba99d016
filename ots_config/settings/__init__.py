"""Typed settings: found in many places, checked, frozen, and able to tell where each value came from."""

from ots_config.settings.ledger import Explanation
from ots_config.settings.model import OTSSettings
from ots_config.settings.parts import RetrySettings, TLSSettings
from ots_config.settings.problems import SettingsWarning
from ots_config.settings.reference import settings_table

__all__ = [
    "Explanation",
    "OTSSettings",
    "RetrySettings",
    "SettingsWarning",
    "TLSSettings",
    "settings_table",
]
