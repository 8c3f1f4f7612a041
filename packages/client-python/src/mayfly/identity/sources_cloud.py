"""Identity from Google Cloud and AWS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .document import get_text
from .source import NotSetUp, SourceFailed, check_audience

_GCP_PATH = "/computeMetadata/v1/instance/service-accounts/default/identity"
_GCP_SIGNS = ("GCE_METADATA_HOST", "K_SERVICE", "CLOUD_RUN_JOB", "FUNCTION_TARGET")
_AWS_SIGNS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


class GcpIdentity:
    """An ID token of the machine's or service's account, from the metadata server."""

    name = "gcp"

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def token(self, audience: str) -> str:
        signs = any(self._environ.get(name) for name in _GCP_SIGNS)
        if not signs and not _machine_says("product_name", "Google"):
            raise NotSetUp("this is no machine or service of Google Cloud")
        host = self._environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
        token = get_text(
            f"http://{host}{_GCP_PATH}",
            params={"audience": audience, "format": "full"},
            headers={"Metadata-Flavor": "Google"},
            use_proxy=False,
        )
        return check_audience(token.strip(), audience, "which the metadata server was asked for")


class AwsIdentity:
    """A token of AWS's outbound identity federation (``sts:GetWebIdentityToken``).

    Needs the extra ``mayfly-client[aws]``, a region, and the permission for that call.
    """

    name = "aws"

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def token(self, audience: str) -> str:
        signs = any(self._environ.get(name) for name in _AWS_SIGNS)
        if not signs and not _machine_says("sys_vendor", "Amazon EC2"):
            raise NotSetUp("no variable of AWS is set, and this is no machine of EC2")
        # boto3 itself does not read AWS_REGION, which AWS sets in its own services.
        region = self._environ.get("AWS_REGION") or self._environ.get("AWS_DEFAULT_REGION")
        token = _web_identity_token(audience, region or None)
        return check_audience(token, audience, "which AWS was asked for")


def _web_identity_token(audience: str, region: str | None) -> str:
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise SourceFailed("boto3 is not installed; pip install 'mayfly-client[aws]'") from None
    bounded = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 2})
    try:
        # boto3 ships no types.
        client: Any = boto3.client("sts", region_name=region, config=bounded)
        answer: Any = client.get_web_identity_token(
            Audience=[audience], SigningAlgorithm="ES384", DurationSeconds=300
        )
        token = answer["WebIdentityToken"]
    except (BotoCoreError, ClientError, AttributeError, KeyError) as error:
        # botocore's texts name the operation and the AWS error code, and hold no token.
        raise SourceFailed(f"sts:GetWebIdentityToken failed: {error}") from None
    if not isinstance(token, str):
        raise SourceFailed("sts:GetWebIdentityToken answered without a token")
    return token


def _machine_says(file: str, word: str) -> bool:
    """What the firmware says of the machine: asked before any address of a cloud is."""
    try:
        return word in Path("/sys/class/dmi/id", file).read_text("ascii", "replace")
    except OSError:
        return False
