from typing import Any

class OTSProtocol:
    api_version: str
    python_version: Any
    user_uuid: Any
    user_agent: Any
    api_list: Any
    instance_name: str
    encoding: str
    encoder: Any
    decoder: Any
    logger: Any
    extra_headers: Any

    def __init__(
        self,
        instance_name: str,
        encoding: str,
        logger: Any,
        extra_headers: Any = None,
        enable_native: bool = True,
        native_fallback: bool = True,
    ) -> None: ...
    def make_request(self, api_name: str, signer: Any, request_context: Any, *args: Any, **kwargs: Any) -> Any: ...
    def make_json_request(self, api_name: str, signer: Any, request: Any, request_context: Any) -> Any: ...
    def parse_response(self, api_name: str, status: int, headers: Any, body: bytes) -> Any: ...
    def handle_error(
        self,
        api_name: str,
        query: Any,
        status: int,
        reason: str,
        headers: Any,
        body: bytes,
        signer: Any,
        request_context: Any,
    ) -> None: ...
