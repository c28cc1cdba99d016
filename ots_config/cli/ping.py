"""``ots-config ping``: how long requests to the instance take."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from statistics import quantiles
from typing import Any

from ots_config.cli.output import Output
from ots_config.cli.sources import add_command, read_settings
from ots_config.errors import RequestError

_BAR = 40
_MAX_COUNT = 100_000


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "ping",
        "Measure how long requests to the instance take, with a histogram. It lists the tables, without retries.",
        "ots-config ping\nots-config ping --count 100 --interval 0 --json",
    )
    parser.add_argument("--count", type=_count, default=10, help="how many requests (%(default)s)")
    parser.add_argument("--interval", type=_seconds, default=0.2, help="seconds between them (%(default)g)")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace, output: Output) -> int:
    """Send the requests and show their latency; return the exit code."""
    from ots_config.factory import create_client
    from ots_config.request.retry_policy import NoRetryPolicy

    settings = read_settings(given, output)
    times: list[float] = []
    errors: dict[str, int] = {}
    with create_client(settings=settings, retry_policy=NoRetryPolicy()) as client:
        try:
            for number in range(given.count):
                if number:
                    time.sleep(given.interval)
                began = time.perf_counter()
                problem = ""
                try:
                    client.list_table()
                except RequestError as error:
                    problem = error.code
                    errors[problem] = errors.get(problem, 0) + 1
                else:
                    times.append((time.perf_counter() - began) * 1000)
                if not output.as_json:
                    output.line(f"{number + 1:4}  " + (problem or f"{times[-1]:8.1f} ms"), "failure" if problem else "")
                    output.flush()
        except KeyboardInterrupt:
            pass  # what was measured so far is the result
    _report(output, str(settings.endpoint), times, errors)
    return int(bool(errors) or not times)


def _report(output: Output, endpoint: str, times: Sequence[float], errors: dict[str, int]) -> None:
    figures = _figures(times)
    if output.as_json:
        output.document(
            {
                "endpoint": endpoint,
                "requests": len(times) + sum(errors.values()),
                "errors": errors,
                "milliseconds": {name: round(value, 3) for name, value in figures.items()},
                "histogram": [
                    {"from": round(low, 3), "to": round(high, 3), "count": n} for low, high, n in _bins(times)
                ],
            }
        )
        return
    output.line()
    most = max((count for *_, count in _bins(times)), default=1)
    for low, high, count in _bins(times):
        # The first request opens the connection, so it stands apart on the right.
        output.line(f"{low:8.1f} - {high:8.1f} ms  {'#' * round(_room(output) * count / most)} {count}")
    if figures:
        output.line("  ".join(f"{name} {value:.1f}" for name, value in figures.items()) + " ms", "ok")
    for code, count in errors.items():
        output.line(f"failed: {count} with {code}", "failure")


def _room(output: Output) -> int:
    return _BAR if output.width is None else max(min(_BAR, output.width - 32), 5)


def _figures(times: Sequence[float]) -> dict[str, float]:
    """Return minimum, median, 99th percentile and maximum."""
    if not times:
        return {}
    if len(times) == 1:
        return {"min": times[0], "median": times[0], "p99": times[0], "max": times[0]}
    cuts = quantiles(times, n=100, method="inclusive")
    return {"min": min(times), "median": cuts[49], "p99": cuts[98], "max": max(times)}


def _bins(times: Sequence[float], number: int = 8) -> list[tuple[float, float, int]]:
    """Return the histogram: lower and upper bound in milliseconds, and how many requests lie between."""
    if not times:
        return []
    low, high = min(times), max(times)
    width = (high - low) / number or 1.0
    counts = [0] * number
    for each in times:
        counts[min(int((each - low) / width), number - 1)] += 1
    return [(low + place * width, low + (place + 1) * width, count) for place, count in enumerate(counts) if count]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MAX_COUNT):
        raise argparse.ArgumentTypeError(f"a count is a whole number from 1 to {_MAX_COUNT}, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"an interval is seconds from 0 to 3600, not {text!r}")
    return seconds
