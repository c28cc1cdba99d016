"""``ots-config doctor``: what keeps a program from its instance, checked step by step, each with a hint."""

from __future__ import annotations

import argparse
import ssl
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ots_config.cli.output import Output
from ots_config.cli.probes import Finding, probe, shown
from ots_config.cli.sources import add_command, settings_and_warnings
from ots_config.errors import CredentialsError, OTSConfigError, RequestError, SettingsError
from ots_config.secret_files import exposure

if TYPE_CHECKING:
    from ots_config.settings import OTSSettings

_CERTIFI_MINIMUM = (2024, 7, 4)
_CREDENTIAL_FILES = ("~/.aliyun/config.json", "~/.alibabacloud/credentials", "~/.alibabacloud/credentials.ini")
_SLOW = 1.0
_PROXY = "requests go through a proxy, so the way to the endpoint is the proxy's"


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "doctor",
        "Find out what keeps a program from its instance. Versions, settings, file modes, credentials, name, "
        "connection, TLS, clock, signature, identity and latency are checked; nothing is written.",
        "ots-config doctor\nots-config doctor --env-file prod.env --json",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace, output: Output) -> int:
    """Check everything; return the exit code: 1 if something fails."""
    findings: list[Finding] = []
    for finding in _examine(given):
        findings.append(finding)
        if not output.as_json:
            _show(finding, output)
            output.flush()
    failed = any(finding.status == "failure" for finding in findings)
    if output.as_json:
        rows = [{"check": f.check, "status": f.status, "text": f.text, "hint": f.hint} for f in findings]
        output.document({"ok": not failed, "findings": rows})
    return int(failed)


def _show(finding: Finding, output: Output) -> None:
    indent = " " * 23
    output.line(f"{finding.status:<9}{finding.check:<14}{finding.text}", finding.status, indent=indent)
    if finding.hint:
        output.line(f"{'':<9}{'':<14}{finding.hint}", indent=indent)


def _examine(given: argparse.Namespace) -> Iterator[Finding]:
    yield from _versions()
    try:
        settings, warnings = settings_and_warnings(given)
    except SettingsError as error:
        for note in getattr(error, "__notes__", ()):
            yield Finding("settings", "warning", shown(note))
        for problem in error.problems:
            text = f"{problem.field}: {problem.reason} (from {problem.origin})"
            yield Finding("settings", "failure", shown(text), problem.hint)
        return
    for text in warnings:
        yield _warned(text)
    yield Finding("settings", "ok", f"{settings.instance_name} at {settings.endpoint}")
    yield from _files(settings)
    keys, findings = _credentials(settings)
    yield from findings
    if settings.proxies:
        yield Finding("network", "skipped", _PROXY)
    else:
        reached = True
        for finding in probe(settings):
            reached = reached and finding.status != "failure"
            yield finding
            if finding.check == "clock":
                reached = True  # the client corrects a wrong clock
        if not reached:
            return
    if keys is None:
        yield Finding("signature", "skipped", "there are no credentials")
        return
    yield from _requests(settings, keys)


def _warned(text: str) -> Finding:
    """Return a warning of the settings; one about a file's mode names the check that it belongs to."""
    sentence, _, hint = text.partition(": chmod ")
    if hint:
        return Finding("file modes", "warning", shown(sentence), f"chmod {hint}")
    return Finding("settings", "warning", shown(text))


def _versions() -> Iterator[Finding]:
    from ots_config.request.tls import check_openssl

    try:
        warning = check_openssl()
    except OTSConfigError as error:
        yield Finding("openssl", "failure", str(error), "Use a Python that was built with a newer OpenSSL.")
    else:
        if warning:
            yield Finding("openssl", "warning", warning, "Use a Python that was built with a newer OpenSSL.")
        else:
            yield Finding("openssl", "ok", ssl.OPENSSL_VERSION)
    found = _version_of("certifi")
    if tuple(int(part) for part in found.split(".")[:3] if part.isdigit()) < _CERTIFI_MINIMUM:
        minimum = ".".join(map(str, _CERTIFI_MINIMUM))
        yield Finding("certifi", "warning", f"certifi {found} is older than {minimum}", "pip install --upgrade certifi")
    else:
        yield Finding("certifi", "ok", f"certifi {found}")
    yield Finding("tablestore", "ok", f"tablestore {_version_of('tablestore')}")


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "0"


def _files(settings: OTSSettings) -> Iterator[Finding]:
    """Yield a finding for each file of credentials that others can read; those of settings were warned about."""
    named = (settings.cli_config_file, settings.credentials_file)
    paths = {Path(path).expanduser() for path in (*named, *_CREDENTIAL_FILES) if path}
    exposed = False
    for path in sorted(paths):
        try:
            warning = exposure(path, path.stat())
        except OSError:
            continue
        if warning:
            exposed = True
            text, _, hint = warning.partition(": chmod ")
            yield Finding("file modes", "warning", text, f"chmod {hint}")
    if not exposed:
        yield Finding("file modes", "ok", "no file of credentials is readable for others")


def _credentials(settings: OTSSettings) -> tuple[Any, list[Finding]]:
    """Return the keys to use, None if there are none, and what was found."""
    from ots_config.factory import chain_and_provider

    try:
        chain, provider = chain_and_provider(settings)
        keys = provider.get_credentials()
    except OTSConfigError as error:
        hint = error.hint or "`ots-config credentials` shows every source."
        text = str(error) if isinstance(error, CredentialsError) else shown(str(error))
        return None, [Finding("credentials", "failure", text, hint)]
    findings = [Finding("credentials", "ok", f"{keys.masked_id} from {keys.source}")]
    findings += [
        Finding(
            "credentials",
            "warning",
            f"another source is named, too, and not used: {text}",
            "Remove one of the two, or name one in OTS_CREDENTIALS.",
        )
        for text in chain.competing
    ]
    if keys.expires_at is not None:
        left = keys.expires_at.timestamp() - time.time()
        if left <= 0:
            text, hint = "these keys have expired", "Get new ones, or use a source that refreshes them."
            findings.append(Finding("credentials", "failure", text, hint))
        else:
            findings.append(Finding("credentials", "ok", f"they are valid for {left / 60:.0f} more minutes"))
    return keys, findings


def _requests(settings: OTSSettings, keys: Any) -> Iterator[Finding]:
    from ots_config.client.sync_client import OTSClient
    from ots_config.factory import identity
    from ots_config.request.retry_policy import NoRetryPolicy

    with OTSClient(settings=settings, credentials_provider=keys, retry_policy=NoRetryPolicy()) as client:
        began = time.perf_counter()
        try:
            client.list_table()
        except RequestError as error:
            yield _refused(error, settings)
        else:
            yield Finding("signature", "ok", "the service accepts it")
            began = time.perf_counter()  # the first request has opened the connection
            try:
                client.list_table()
            except RequestError as error:
                yield _refused(error, settings)
            else:
                yield _latency(time.perf_counter() - began)
    try:
        found = identity(keys, settings=settings)
    except OTSConfigError as error:
        yield Finding("identity", "warning", shown(str(error)), "Only `whoami` and roles need STS.")
    else:
        yield Finding("identity", "ok", found.arn)


def _latency(seconds: float) -> Finding:
    text = f"ListTable took {seconds * 1000:.1f} ms"
    if seconds < _SLOW:
        return Finding("latency", "ok", text)
    return Finding("latency", "warning", text, "Use an endpoint of this machine's region, or of its VPC.")


_LASTING = "`ots-config ping` shows whether that lasts."
_REFUSALS = (
    ("does not exist", "Check the AccessKey ID; if it is temporary, check its token, and whether it has expired."),
    ("disabled", "Enable this AccessKey in the RAM console, or use another."),
    ("signature", "Check the AccessKey secret; with signature V4 also the region ({region})."),
    ("system time", "Set the clock of this machine."),
    ("token", "Check the STS token: it belongs to one temporary key, and expires with it."),
    ("instance", "Check the instance's name, and that the endpoint is of its region."),
)


def _refused(error: RequestError, settings: OTSSettings) -> Finding:
    text = shown(f"{error.code}: {error}")
    message = error.message.lower()
    if error.code == "OTSNoPermissionAccess":
        hint = "Grant this identity ots:ListTable (the policy AliyunOTSReadOnlyAccess has it), or use another."
        return Finding("permission", "failure", text, hint)
    hint = next((each for word, each in _REFUSALS if word in message), error.hint or _LASTING)
    return Finding("signature", "failure", text, hint.format(region=settings.region or "none is set"))
