"""``ots-config credentials``, ``whoami``, ``export``: which keys are used, whose they are, the keys themselves."""

from __future__ import annotations

import argparse
import json
import shlex
from typing import TYPE_CHECKING, Any

from ots_config.cli.output import Output
from ots_config.cli.sources import add_command, read_settings
from ots_config.errors import CredentialsError, OTSConfigError

if TYPE_CHECKING:
    from ots_config.credentials.chain import ChainProvider
    from ots_config.credentials.credentials import Credentials


def add_parser(commands: Any) -> None:
    """Add the commands to the command line."""
    parser = add_command(
        commands,
        "credentials",
        "Show every source of credentials in its order. Why each has none, how long it took, and which one is used.",
        "ots-config credentials\nOTS_CREDENTIALS=ecs ots-config credentials --json",
    )
    parser.set_defaults(run=show)
    parser = add_command(
        commands,
        "whoami",
        "Ask STS whose keys these are. It needs no permission.",
        "ots-config whoami\nots-config whoami --env-file prod.env --json",
    )
    parser.set_defaults(run=whoami)
    parser = add_command(
        commands,
        "export",
        "Print the keys for other tools. It is the only command that prints a secret.",
        'eval "$(ots-config export --format env)"\nots-config export --format process',
    )
    parser.add_argument(
        "--format",
        choices=("env", "json", "process"),
        default="env",
        help="env: variables for a shell; json; process: what aliyun's External mode reads (%(default)s)",
    )
    parser.add_argument("--show", action="store_true", help="print the secret on a terminal, too")
    parser.set_defaults(run=export)


def show(given: argparse.Namespace, output: Output) -> int:
    """Show the chain; return the exit code."""
    from ots_config.factory import chain_and_provider

    settings = read_settings(given, output)
    chain, provider = chain_and_provider(settings)
    roles = [*(settings.role_via or ()), *([settings.role_arn] if settings.role_arn else [])]
    found: Credentials | None = None
    failed: CredentialsError | None = None
    try:
        found = provider.get_credentials()
    except CredentialsError as error:
        failed = error
    rows = _rows(chain)
    if output.as_json:
        used = None if found is None else {"access_key_id": found.masked_id, "source": found.source}
        failure = None if failed is None else {"code": failed.code, "message": str(failed), "hint": failed.hint}
        output.document(
            {
                "sources": rows,
                "roles": roles,
                "used": used,
                "expires_at": found.expires_at if found else None,
                "competing": list(chain.competing),
                "error": failure,
            }
        )
        return int(found is None)
    headings = ("source", "result", "ms", "why")
    output.table(headings, [[row["source"], row["result"], row["milliseconds"], row["why"]] for row in rows])
    output.line()
    for text in chain.competing:
        output.line(f"also named, and not used: {text}", "warning")
    for role in roles:
        output.line(f"assumed with it: {role}")
    if found is not None:
        until = f", until {found.expires_at:%Y-%m-%d %H:%M:%S} UTC" if found.expires_at else ""
        output.line(f"used: {found.masked_id} from {found.source}{until}", "ok")
    elif failed is not None:
        output.line(f"failure: {str(failed).splitlines()[0]}", "failure")
        if failed.hint:
            output.line(f"Hint: {failed.hint}")
    return int(found is None)


def whoami(given: argparse.Namespace, output: Output) -> int:
    """Show whose keys are used; return the exit code."""
    from ots_config.factory import create_provider, identity

    settings = read_settings(given, output)
    keys = create_provider(settings).get_credentials()
    found = identity(keys, settings=settings)
    document = {
        "account_id": found.account_id,
        "arn": found.arn,
        "identity_type": found.identity_type,
        "principal_id": found.principal_id,
        "user_id": found.user_id,
        "role_id": found.role_id,
        "access_key_id": keys.masked_id,
        "source": keys.source,
        "expires_at": keys.expires_at,
    }
    if output.as_json:
        output.document(document)
    else:
        output.records(document)
    return 0


def export(given: argparse.Namespace, output: Output) -> int:
    """Print the keys; return the exit code."""
    from ots_config.factory import create_provider

    if output.is_terminal and not given.show:
        refusal = OTSConfigError("the secret would be shown on this terminal")
        refusal.hint = "Send the output to a program or a file, or add --show."
        raise refusal
    keys = create_provider(read_settings(given, output)).get_credentials()
    output.raw(_exported(keys, "json" if output.as_json and given.format == "env" else given.format))
    return 0


def _exported(keys: Credentials, form: str) -> str:
    """Return the keys as text, in one of the formats."""
    secret, token = keys.get_access_key_secret(), keys.get_security_token()
    expiration = keys.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ") if keys.expires_at else None
    if form == "env":
        variables = {
            "OTS_ACCESS_KEY_ID": keys.access_key_id,
            "OTS_ACCESS_KEY_SECRET": secret,
            "OTS_STS_TOKEN": token,
            "OTS_STS_EXPIRATION": expiration,
        }
        return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items() if value)
    fields: dict[str, Any] = {"access_key_id": keys.access_key_id, "access_key_secret": secret, "sts_token": token}
    if form == "process":
        fields = {"mode": "StsToken" if token else "AK", **fields, "expiration": expiration}
        return json.dumps({name: value for name, value in fields.items() if value})
    return json.dumps({**fields, "expires_at": expiration, "source": keys.source}, ensure_ascii=False, indent=2)


def _rows(chain: ChainProvider) -> list[dict[str, Any]]:
    """Return every source with the result of asking it."""
    asked = {attempt.provider: attempt for attempt in chain.attempts}
    rows = []
    for name in dict.fromkeys([*asked, *chain.names]):
        attempt = asked.get(name)
        if attempt is None:
            rows.append({"source": name, "result": "not asked", "milliseconds": "", "why": ""})
            continue
        used = attempt.result == "found"
        rows.append(
            {
                "source": name,
                "result": "used" if used else "refused" if attempt.result == "refused" else "not configured",
                "milliseconds": f"{attempt.elapsed:.1f}",
                "why": attempt.described if used else str(attempt.error),
            }
        )
    return rows
