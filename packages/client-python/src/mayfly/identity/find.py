"""Finds the source of identity, in a fixed order."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping

from ..errors import MayflyError, Problem, no_identity
from ..secret import Secret
from .source import IdentitySource, NotSetUp, SourceFailed, check_audience
from .sources import EnvironmentIdentity, FileIdentity, GitHubActionsIdentity, KubernetesIdentity
from .sources_cloud import AwsIdentity, GcpIdentity
from .spiffe import SpiffeIdentity

Maker = Callable[[Mapping[str, str]], IdentitySource]

SOURCES: Mapping[str, Maker] = {
    "file": lambda environ: FileIdentity(environ=environ),
    "environment": lambda environ: EnvironmentIdentity(environ=environ),
    "spiffe": lambda environ: SpiffeIdentity(environ=environ),
    "kubernetes": lambda environ: KubernetesIdentity(environ=environ),
    "github-actions": lambda environ: GitHubActionsIdentity(environ=environ),
    "aws": lambda environ: AwsIdentity(environ=environ),
    "gcp": lambda environ: GcpIdentity(environ=environ),
}
"""By name, in the order in which they are tried: what was set for Mayfly before what is there."""


class Identity:
    """Proof of identity for one audience. The first source that is set up is the one, for good:
    a task's later proofs must be of the same workload. Where it fails, no other takes its place."""

    def __init__(self, sources: list[IdentitySource]) -> None:
        self._sources = sources
        self._lock = threading.Lock()

    def prove(self, audience: str) -> Secret:
        """Raises :class:`~mayfly.NoIdentity` with each source that was tried, and why."""
        with self._lock:
            tried: list[tuple[str, str]] = []
            for source in self._sources:
                try:
                    token = source.token(audience)
                except NotSetUp as why:
                    tried.append((source.name, str(why)))
                    continue
                except SourceFailed as why:
                    tried.append((source.name, str(why)))
                    break
                self._sources = [source]
                return Secret(token)
            raise no_identity(tried)


class _Called:
    """A function of the caller's own as a source."""

    name = "identity"

    def __init__(self, function: Callable[[str], str]) -> None:
        self._function = function

    def token(self, audience: str) -> str:
        try:
            token = self._function(audience)
        except Exception as error:
            raise SourceFailed(f"it raised {type(error).__name__}") from error
        return check_audience(token, audience, "have it minted for that audience")


def find_identity(
    chosen: str | IdentitySource | Callable[[str], str] | None,
    environ: Mapping[str, str] = os.environ,
) -> Identity:
    """``chosen``, or what ``MAYFLY_IDENTITY_SOURCE`` names, or the first that is set up."""
    if chosen is None:
        chosen = environ.get("MAYFLY_IDENTITY_SOURCE") or None
    if chosen is None:
        return Identity([make(environ) for make in SOURCES.values()])
    if isinstance(chosen, str):
        make = SOURCES.get(chosen)
        if make is None:
            raise MayflyError(
                Problem(
                    code="invalid_option",
                    message=f"There is no source of identity named {chosen!r}.",
                    where="MAYFLY_IDENTITY_SOURCE",
                    hint=f"Take one of {', '.join(SOURCES)}.",
                )
            )
        return Identity([make(environ)])
    if callable(chosen):
        return Identity([_Called(chosen)])
    return Identity([chosen])
