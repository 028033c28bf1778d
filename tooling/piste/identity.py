"""Who a GitHub job is: a token that GitHub makes out for one login, so that no password and no key is kept anywhere."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from piste.errors import SnowflakeRefused, SnowflakeUnreachable

AUDIENCE = "snowflakecomputing.com"
"""Whom the token is made out to: what Snowflake expects where a user names no other."""

SECONDS = (5.0, 20.0)
"""How long GitHub may take to connect, and to answer; each of five attempts."""

AGAIN = Retry(total=4, backoff_factor=1, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False)


def is_ours_to_get(connection: Mapping[str, Any]) -> bool:
    """Whether a connection logs in by workload identity (OIDC) and leaves open where its token comes from."""
    by_oidc = (
        str(connection.get("authenticator", "")).upper() == "WORKLOAD_IDENTITY"
        and str(connection.get("workload_identity_provider", "")).upper() == "OIDC"
    )
    return by_oidc and not connection.get("token") and not connection.get("token_file_path")


def new_token() -> str:
    """A token of this GitHub job, made out to Snowflake. It lives for minutes: get one for each login.

    Raises:
        SnowflakeRefused: this is no GitHub job, or one that may not have a token.
        SnowflakeUnreachable: GitHub does not answer.
    """
    url, secret = (os.environ.get(f"ACTIONS_ID_TOKEN_REQUEST_{name}", "") for name in ("URL", "TOKEN"))
    if not (url and secret):
        raise _nobody()
    try:
        with requests.Session() as session:
            session.mount(url, HTTPAdapter(max_retries=AGAIN))
            reply = session.get(
                url, params={"audience": AUDIENCE}, auth=_bearer(secret), timeout=SECONDS, allow_redirects=False
            )
    except requests.RequestException as error:
        raise _silent(type(error).__name__) from None
    if reply.status_code in AGAIN.status_forcelist:
        raise _silent(f"HTTP {reply.status_code}")
    return _token_in(reply)


def _bearer(secret: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Said in this way no ~/.netrc takes the header's place."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"bearer {secret}"
        return request

    return sign


def _token_in(reply: requests.Response) -> str:
    if reply.status_code != requests.codes.ok:
        raise SnowflakeRefused(
            f"GitHub gives this job no identity token (HTTP {reply.status_code}).",
            "A token can be had only while its job runs, and with `permissions: id-token: write`.",
        )
    try:
        token = reply.json()["value"]
    except (ValueError, KeyError, TypeError):
        token = None
    if not isinstance(token, str) or not claims(token):
        raise SnowflakeRefused("GitHub's reply holds no identity token.", "Run the job again.")
    return token


def claims(token: str) -> Mapping[str, Any]:
    """What a token says of its job, unverified; empty for what is no token. No secret, unlike the token itself."""
    try:
        payload = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def refused(token: str) -> str:
    """What to do where Snowflake takes no token: its user must say the same of the job, to the letter."""
    said = claims(token)
    lines = "".join(f"\n  {name:8} {said.get(key, '')}" for name, key in _TOLD)
    return (
        f"GitHub says of this job:{lines}\n"
        "No Snowflake user has exactly this issuer and subject, or may not have this role.\n"
        "`piste doctor --setup` prints the SQL that makes the users; docs/snowflake-setup.md explains it."
    )


_TOLD = (("issuer", "iss"), ("subject", "sub"), ("audience", "aud"))


def _silent(why: str) -> SnowflakeUnreachable:
    return SnowflakeUnreachable(
        f"GitHub does not answer when asked for this job's identity token ({why}).",
        "Nothing is lost: run the same command again.",
    )


def _nobody() -> SnowflakeRefused:
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return SnowflakeRefused(
            "This job has no `permissions: id-token: write`, so that GitHub gives it no identity token to log in with.",
            "Add it to the job. A pull request from a fork gets none, whatever its workflow says.",
        )
    return SnowflakeRefused(
        "The connection logs in by workload identity (OIDC) and names no token: only a GitHub job gets one by itself.",
        "Elsewhere use a connection of your own (--connection NAME), or give this one a token_file_path.",
    )
