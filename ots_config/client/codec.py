"""From an operation's arguments to the body of a request, and from the body of a response to a result or an error."""

from __future__ import annotations

import json
from typing import Any

from ots_config.errors import OTSConfigError, RequestInvalid, ResponseInvalid, ServiceError
from ots_config.request.http_parser import HTTPResponse
from ots_config.request.interruptions import raised_by_signal_handler
from ots_config.request.operations import OPERATIONS, Operation
from ots_config.request.retry_decision import MAY_HAVE_HAPPENED, classify
from ots_config.sdk import as_sdk_error
from ots_config.sdk import pb2 as _made_pb2
from ots_config.shown_text import is_code, is_request_id, printable

_pb2: Any = _made_pb2  # its classes are made when it is loaded


class Codec:
    """The SDK's encoder and decoder, with our errors.

    Args:
        protocol: The client's ``OTSProtocol``, which holds both.
    """

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol

    def encode(self, api_name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Operation, bytes]:
        """Return a protobuf operation and the body of its request."""
        if api_name not in OPERATIONS:
            raise _unknown_operation(api_name)
        try:
            body = self.protocol.encoder.encode_request(api_name, *args, **kwargs).SerializeToString()
        except Exception as error:
            if raised_by_signal_handler((error,)) is not None:
                raise
            raise _invalid_request(api_name, error) from error
        return OPERATIONS[api_name], body

    def decode(self, api_name: str, response: HTTPResponse) -> Any:
        """Return the SDK's result object of a protobuf operation."""
        try:
            return self.protocol.decoder.decode_response(
                api_name, response.body, response.headers.get("x-ots-requestid", "")
            )[0]
        except Exception as error:
            if raised_by_signal_handler((error,)) is not None:
                raise
            raise undecodable(api_name, response) from error

    def failed_items(self, response: HTTPResponse, table: str) -> tuple[int, dict[int, ServiceError]]:
        """Return how many rows of a table the response of a BatchWriteRow has, and of those that failed the errors.

        It costs a tenth of ``decode``, which makes objects of the rows that were written.
        """
        message = _pb2.BatchWriteRowResponse()
        try:
            message.ParseFromString(response.body)
        except Exception as error:
            raise undecodable("BatchWriteRow", response) from error
        count = 0
        errors: dict[int, ServiceError] = {}
        for part in message.tables:
            if part.table_name == table:
                count = len(part.rows)
                errors = {at: _row_error(row.error) for at, row in enumerate(part.rows) if not row.is_ok}
        return count, errors


def _row_error(fault: Any) -> ServiceError:
    """Return the error of a row that was not written."""
    error = ServiceError(200, printable(fault.code, 100), printable(fault.message), operation="BatchWriteRow")
    error.may_have_happened = classify(error) in MAY_HAVE_HAPPENED
    return error


def encode_json(api_name: str, request: Any) -> tuple[Operation, bytes]:
    """Return a JSON operation and the body of its request, which is a dictionary or text."""
    if api_name not in OPERATIONS:
        raise _unknown_operation(api_name)
    match request:
        case dict():
            try:
                body = json.dumps(request, separators=(",", ":")).encode()
            except (TypeError, ValueError) as error:
                raise _invalid_request(api_name, error) from error
        case str():
            body = request.encode()
        case bytes():
            body = request
        case _:
            kind = type(request).__name__
            raise _invalid_request(api_name, TypeError(f"the request must be a dict, str or bytes, not {kind}"))
    return OPERATIONS[api_name], body


def decode_json(api_name: str, response: HTTPResponse) -> Any:
    """Return the result of a JSON operation, with the request id in it."""
    try:
        result = json.loads(response.body)
        result["requestId"] = response.headers.get("x-ots-requestid", "")
    except (ValueError, TypeError) as error:
        raise undecodable(api_name, response) from error
    return result


def read_error(body: bytes) -> tuple[str, str] | None:
    """Return code and message from the body of an error response, protobuf or JSON; None if it is neither."""
    if body[:1] == b"{":
        try:
            error = json.loads(body)
            code, text = error["code"], error.get("message", "")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return (code, printable(str(text))) if isinstance(code, str) and is_code(code) else None
    message = _pb2.Error()
    try:
        message.ParseFromString(body)
    except Exception as failure:  # protobuf's implementations raise different types
        if raised_by_signal_handler((failure,)) is not None:
            raise
        return None
    return (message.code, printable(message.message)) if is_code(message.code) else None


def undecodable(api_name: str, response: HTTPResponse) -> OTSConfigError:
    """Return the error of a response that is verified and makes no sense."""
    error = ResponseInvalid(
        "the answer is the service's, but the SDK cannot decode it", operation=api_name, http_status=response.status
    )
    request_id = response.headers.get("x-ots-requestid", "")
    error.request_id = request_id if is_request_id(request_id) else ""
    return as_sdk_error(error)


def _unknown_operation(api_name: str) -> OTSConfigError:
    return as_sdk_error(RequestInvalid(f"the operation {api_name} is not known", operation=api_name))


def _invalid_request(api_name: str, error: Exception) -> OTSConfigError:
    return as_sdk_error(RequestInvalid(str(error) or type(error).__name__, operation=api_name))
