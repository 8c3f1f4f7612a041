"""Finds the source of identity, in a fixed order."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

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


PROOF_SECONDS_MAX = 15.0
"""Longer than any source of ours takes."""


class Identity:
    """Proof of identity for one audience. The first source that is set up is the one, for good:
    a task's later proofs must be of the same workload. Where it fails, no other takes its place."""

    def __init__(self, sources: list[IdentitySource]) -> None:
        self._sources = sources
        # Held by one proof at a time, and by one that hangs until it ends.
        self._lock = threading.Lock()

    def prove(self, audience: str, seconds_max: float = PROOF_SECONDS_MAX) -> Secret:
        """Raises :class:`~mayfly.NoIdentity` with each source that was tried, and why. A source may
        hang, on a network's file or in code that is not ours: it is waited for ``seconds_max``."""
        until = time.monotonic() + seconds_max
        if not self._lock.acquire(timeout=seconds_max):
            raise self._too_late(seconds_max)
        outcome: Future[Secret] = Future()
        asking = threading.Thread(
            target=self._ask, args=(audience, outcome), name="mayfly-identity", daemon=True
        )
        try:
            asking.start()
        except RuntimeError:
            # An interpreter that ends starts no thread any more.
            self._ask(audience, outcome)
        try:
            return outcome.result(max(0.0, until - time.monotonic()))
        except FutureTimeout:
            raise self._too_late(seconds_max) from None

    def _ask(self, audience: str, outcome: Future[Secret]) -> None:
        try:
            proof = self._first(audience)
        except BaseException as error:  # noqa: BLE001 (it is raised again where it is waited for)
            outcome.set_exception(error)
        else:
            outcome.set_result(proof)
        finally:
            self._lock.release()

    def _first(self, audience: str) -> Secret:
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

    def _too_late(self, seconds: float) -> MayflyError:
        names = "/".join(source.name for source in self._sources)
        return no_identity([(names, f"it gave none within {seconds:g} s")])


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
