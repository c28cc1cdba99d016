"""The keywords that type checkers see are those that the clients take."""

from inspect import signature
from typing import get_type_hints

from ots_config import AsyncOTSClient, OTSClient, OTSSettings
from ots_config.client.keywords import ClientKeywords, FactoryKeywords, SettingsKeywords
from ots_config.factory import _CLIENT_OPTIONS

POSITIONAL = {"endpoint", "access_key_id", "access_key_secret", "instance_name", "region"}


def test_each_setting_is_a_keyword() -> None:
    """Every setting is named once: in the signature, or among the keywords."""
    assert SettingsKeywords.__annotations__.keys() | POSITIONAL == OTSSettings.model_fields.keys()
    assert signature(OTSClient).parameters.keys() > POSITIONAL


def test_a_factory_takes_what_a_client_takes() -> None:
    """Whatever the constructors of both clients name is a keyword of the factories, or a parameter of theirs."""
    own = {"settings", "credentials_provider", "retry_policy"}
    names = (signature(OTSClient).parameters.keys() | signature(AsyncOTSClient).parameters.keys()) - own
    assert names - {"arguments"} <= get_type_hints(FactoryKeywords).keys()
    own = FactoryKeywords.__annotations__.keys() - ClientKeywords.__annotations__.keys()
    assert own - SettingsKeywords.__annotations__.keys() | {"force_close"} == _CLIENT_OPTIONS | POSITIONAL
