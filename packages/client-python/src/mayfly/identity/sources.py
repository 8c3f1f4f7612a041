"""Identity from a file, a variable, Kubernetes and GitHub Actions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .document import get_json
from .source import NotSetUp, SourceFailed, audiences_of, check_audience

_TOKEN_BYTES_MAX = 64 * 1024
_PROJECT = (
    "project one: a volume `projected: {sources: [{serviceAccountToken: {path: token, "
    "audience: <the issuer>}}]}` mounted at /var/run/secrets/mayfly"
)


class FileIdentity:
    """A file that somebody else keeps fresh; it is read again for each proof."""

    name = "file"

    def __init__(self, path: str | None = None, environ: Mapping[str, str] = os.environ) -> None:
        self._path = path or environ.get("MAYFLY_IDENTITY_FILE") or None

    def token(self, audience: str) -> str:
        if self._path is None:
            raise NotSetUp("MAYFLY_IDENTITY_FILE is not set")
        token = read_token(self._path)
        return check_audience(token, audience, f"have the token in {self._path} minted for it")


class EnvironmentIdentity:
    """A token in a variable. It cannot be renewed: for tasks that are shorter than it."""

    name = "environment"

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def token(self, audience: str) -> str:
        token = self._environ.get("MAYFLY_IDENTITY_TOKEN", "").strip()
        if token == "":
            raise NotSetUp("MAYFLY_IDENTITY_TOKEN is not set")
        return check_audience(token, audience, "have it minted for that audience")


class KubernetesIdentity:
    """A projected service account token.

    Looked for at ``MAYFLY_KUBERNETES_TOKEN_FILE``, then where this package's documentation has it
    mounted, then at the default, whose usual audience is the API server: then it is not sent.
    """

    name = "kubernetes"
    _MOUNTED = "/var/run/secrets/mayfly/token"
    _DEFAULT = "/var/run/secrets/kubernetes.io/serviceaccount/token"

    def __init__(self, path: str | None = None, environ: Mapping[str, str] = os.environ) -> None:
        self._path = path or environ.get("MAYFLY_KUBERNETES_TOKEN_FILE") or None

    def token(self, audience: str) -> str:
        path = self._path or (self._MOUNTED if Path(self._MOUNTED).exists() else None)
        if path is not None:
            return check_audience(read_token(path), audience, _PROJECT)
        if not Path(self._DEFAULT).exists():
            raise NotSetUp(f"there is no token at {self._MOUNTED}, nor a service account's")
        token = read_token(self._DEFAULT)
        if audience in audiences_of(token):
            return token
        raise NotSetUp(f"the pod's token at {self._DEFAULT} is for the API server; {_PROJECT}")


class GitHubActionsIdentity:
    """The job's OIDC token; the workflow needs ``permissions: id-token: write``."""

    name = "github-actions"

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def token(self, audience: str) -> str:
        url = self._environ.get("ACTIONS_ID_TOKEN_REQUEST_URL", "")
        bearer = self._environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
        if url == "" or bearer == "":
            if self._environ.get("GITHUB_ACTIONS") == "true":
                raise SourceFailed(
                    "this job may ask for no OIDC token; give it `permissions: id-token: write`"
                )
            raise NotSetUp("this is no GitHub Actions job")
        answer = get_json(
            url,
            params={"audience": audience},
            headers={"Authorization": f"Bearer {bearer}"},
            use_proxy=True,
        )
        token = answer.get("value")
        if not isinstance(token, str):
            raise SourceFailed("GitHub answered without a token")
        return check_audience(token, audience, "which GitHub was asked for")


def read_token(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_TOKEN_BYTES_MAX + 1)
    except OSError as error:
        raise SourceFailed(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > _TOKEN_BYTES_MAX:
        raise SourceFailed(f"{path} is larger than a token can be")
    try:
        token = data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise SourceFailed(f"{path} holds no token") from None
    if token == "":
        raise SourceFailed(f"{path} is empty")
    return token
