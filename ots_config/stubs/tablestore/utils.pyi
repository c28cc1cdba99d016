from typing import Any
import json

class MyEncoder(json.JSONEncoder):
    def default(self, obj: Any) -> Any: ...  # pyright: ignore[reportIncompatibleMethodOverride]

class DefaultJsonObject: ...

class VectorUtils:
    @staticmethod
    def floats_to_bytes(floats: Any) -> bytes: ...
    @staticmethod
    def bytes_to_floats(byte_data: Any) -> list[float]: ...

def get_now_utc_datetime() -> Any: ...
