"""Where a workload's proof of identity comes from."""

from .find import PROOF_SECONDS_MAX, SOURCES, Identity, find_identity
from .source import IdentitySource, NotSetUp, SourceFailed
from .sources import (
    EnvironmentIdentity,
    FileIdentity,
    GitHubActionsIdentity,
    KubernetesIdentity,
)
from .sources_cloud import AwsIdentity, GcpIdentity
from .spiffe import SpiffeIdentity

__all__ = [
    "PROOF_SECONDS_MAX",
    "SOURCES",
    "AwsIdentity",
    "EnvironmentIdentity",
    "FileIdentity",
    "GcpIdentity",
    "GitHubActionsIdentity",
    "Identity",
    "IdentitySource",
    "KubernetesIdentity",
    "NotSetUp",
    "SourceFailed",
    "SpiffeIdentity",
    "find_identity",
]
