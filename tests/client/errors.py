"""The error of a call that must fail."""

from collections.abc import Callable
from typing import Any

import pytest

from ots_config import OTSConfigError


def error_of(call: Callable[[], Any], kind: type[BaseException] = OTSConfigError) -> Any:
    """Return what a call raises."""
    with pytest.raises(kind) as caught:
        call()
    return caught.value
