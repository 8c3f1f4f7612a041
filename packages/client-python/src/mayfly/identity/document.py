"""One small JSON document by HTTP, for sources of identity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx

from .source import SourceFailed

_SECONDS_MAX = 5.0
_BYTES_MAX = 256 * 1024


def get_text(
    url: str,
    *,
    params: Mapping[str, str],
    headers: Mapping[str, str],
    use_proxy: bool,
) -> str:
    """Raises :class:`SourceFailed` for whatever is no answer with status 200."""
    try:
        with (
            httpx.Client(timeout=_SECONDS_MAX, trust_env=use_proxy) as client,
            # Merged, since `params=` alone takes away what the URL has already.
            client.stream("GET", httpx.URL(url).copy_merge_params(params), headers=headers) as got,
        ):
            body = b""
            for part in got.iter_bytes():
                body += part
                if len(body) > _BYTES_MAX:
                    raise SourceFailed("its answer is larger than a token can be")
            status = got.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceFailed(f"it did not answer ({type(error).__name__})") from None
    if status != 200:
        raise SourceFailed(f"it answered with status {status}")
    return body.decode("utf-8", "replace")


def get_json(
    url: str, *, params: Mapping[str, str], headers: Mapping[str, str], use_proxy: bool
) -> Mapping[str, Any]:
    text = get_text(url, params=params, headers=headers, use_proxy=use_proxy)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise SourceFailed("its answer is no JSON") from None
    if not isinstance(value, dict):
        raise SourceFailed("its answer is no JSON object")
    return value
