"""``sluice check``: every mistake of a configuration, or a short summary of it."""

from __future__ import annotations

import argparse

from sluice.actors.settings import ModelSettings, ProviderSettings
from sluice.http.callers.auth_settings import AuthSettings
from sluice.ops.config import Config

from .configured import EPILOG, add_config_argument, configuration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sluice check``."""
    parser.description = (
        "Tells every mistake of a configuration, with its line (or its environment variable),\n"
        "its key and what is allowed, and exits with 1; or says that it is fine, with a\n"
        "summary. Nothing is started and nothing is called. Secrets are read, never printed."
    )
    parser.epilog = EPILOG
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0 for a configuration to start with, 1 for one with mistakes."""
    config = configuration(arguments)
    if config is None:
        return 1
    print("\n".join(summary(config)))
    return 0


def summary(config: Config) -> list[str]:
    """The lines that ``sluice check`` prints for a configuration without mistakes."""
    lines = [f"{config.source or 'defaults and environment'}: ok"]
    lines.append(f"  listens on {config.server.bind}")
    lines.append(f"  connections: at most {config.connections.limit}")
    limits = {kind: getattr(config.limits, kind) for kind in ("ip", "user", "token")}
    told = ", ".join(f"{kind} {rate or 'off'}" for kind, rate in limits.items())
    lines.append(f"  limits: {told}")
    if config.auth.asks:
        lines.append(f"  callers: {_callers(config.auth)}")
    lines += [_provider(provider) for provider in config.providers.values()]
    lines += [_model(model) for model in config.models.values()]
    lines += [f"warning: {notice}" for notice in config.notices]
    return lines


def _callers(auth: AuthSettings) -> str:
    known = [f"the tokens {', '.join(auth.tokens)}"] if auth.tokens else []
    known += ["users by signed tokens"] if auth.jwt is not None else []
    others = "those who say nothing by their address" if auth.anonymous else "nobody else"
    return ", ".join([*known, others])


def _provider(provider: ProviderSettings) -> str:
    key = "with an API key" if provider.api_key is not None else "without an API key"
    return f"  provider {provider.name}: {provider.format} at {provider.base_url}, {key}"


def _model(model: ModelSettings) -> str:
    upstream = f" as {model.upstream_model}" if model.upstream_model is not None else ""
    return f"  model {model.name}: {model.provider}{upstream}"
