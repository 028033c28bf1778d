"""GitHub: what started a workflow, and a handful of verbs on pull requests. The only module that asks its API."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from piste.errors import GitHubRefused, PisteError

SECONDS = 20.0
"""How long one request may take."""

PAGE = 100


@dataclass(frozen=True)
class PullRequest:
    """`head` and `base` are commits; `fork` says that its branch is in another repository."""

    number: int
    branch: str
    head: str
    base: str
    fork: bool = False
    url: str = ""


@dataclass(frozen=True)
class Merged:
    """A pull request that was merged: its branch's last commit, the commit that brought it, and who pressed the button
    (`@login`)."""

    number: int
    head: str
    commit: str
    actor: str


@dataclass(frozen=True)
class Workflow:
    """What started a workflow. `label` is the one that was added; `url` is where the workflow's run can be seen."""

    repository: str
    event: str
    url: str
    pull_request: PullRequest | None = None
    label: str = ""
    summary: Path | None = None

    def summarize(self, text: str) -> None:
        """Append Markdown to the page of the workflow's run."""
        if self.summary is not None:
            with self.summary.open("a", encoding="utf-8") as file:
                file.write(text if text.endswith("\n") else text + "\n")


def workflow(environ: Mapping[str, str] = os.environ) -> Workflow:
    """As the variables that GitHub Actions sets say.

    Raises:
        PisteError: this is no workflow of GitHub Actions.
    """
    try:
        event = json.loads(Path(environ["GITHUB_EVENT_PATH"]).read_text("utf-8"))
        repository, server = environ["GITHUB_REPOSITORY"], environ.get("GITHUB_SERVER_URL", "https://github.com")
    except (KeyError, OSError, ValueError) as error:
        message = "This command is for workflows: it reads the event that GitHub Actions describes."
        raise PisteError(message, "At your desk: piste plan, piste run, piste collect.") from error
    url = f"{server}/{repository}/actions/runs/{environ.get('GITHUB_RUN_ID', '')}"
    summary = environ.get("GITHUB_STEP_SUMMARY")
    return Workflow(
        repository,
        environ.get("GITHUB_EVENT_NAME", ""),
        url,
        _pull_request(event["pull_request"]) if event.get("pull_request") else None,
        (event.get("label") or {}).get("name", ""),
        Path(summary) if summary else None,
    )


def _pull_request(found: Mapping[str, Any]) -> PullRequest:
    head, base = found["head"], found["base"]
    home = (base.get("repo") or {}).get("full_name")
    fork = (head.get("repo") or {}).get("full_name") != home  # the head's repository may be gone
    return PullRequest(found["number"], head["ref"], head["sha"], base["sha"], fork, found.get("html_url", ""))


def connect(repository: str, variable: str = "GITHUB_TOKEN", environ: Mapping[str, str] = os.environ) -> GitHub:
    """By the token in this variable, or else the workflow's own, GITHUB_TOKEN.

    Raises:
        PisteError: there is none.
    """
    token = environ.get(variable) or environ.get("GITHUB_TOKEN", "")
    if not token:
        raise PisteError("There is no GITHUB_TOKEN.", "Give the step  env: {GITHUB_TOKEN: ${{ github.token }}}.")
    page = f"{environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}"
    return GitHub(environ.get("GITHUB_API_URL", "https://api.github.com"), repository, token, page)


@dataclass(frozen=True)
class Comment:
    """`body` is without the marker."""

    id: int
    body: str
    url: str


class GitHub:
    """One repository, as far as this token may look and write. `page` is its address for people."""

    def __init__(self, url: str, repository: str, token: str, page: str = "") -> None:
        self._url, self.repository = f"{url.rstrip('/')}/repos/{repository}", repository
        self.token, self.page = token, page
        self._session = requests.Session()
        self._session.headers.update(
            {
                "Authorization": f"Bearer {token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            }
        )
        # A POST whose reply was lost is not sent again: `comment` and `open` look first at what there is.
        again = Retry(
            4,
            backoff_factor=0.5,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=("GET", "PATCH", "DELETE"),
            raise_on_status=False,
        )
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=again))

    def comment(self, number: int, marker: str, body: str) -> str:
        """The one comment of a pull request that begins with `marker` says `body` from now on; its address.

        Two that write the first one at once leave one: the earliest stays.
        """
        if not self._comments(number, marker):
            self._ask("POST", f"issues/{number}/comments", body=f"{marker}\n{body}")
        first, *others = self._comments(number, marker)
        for other in others:
            self._ask("DELETE", f"issues/comments/{other.id}", missing=True)
        if first.body.rstrip() != body.rstrip():
            self._ask("PATCH", f"issues/comments/{first.id}", body=f"{marker}\n{body}")
        return first.url

    def commented(self, number: int, marker: str) -> str | None:
        """What that comment says; None if there is none."""
        return next((one.body for one in self._comments(number, marker)), None)

    def _comments(self, number: int, marker: str) -> list[Comment]:
        """The earliest first. Only those of workflows and apps: anybody can write a marker."""
        found = [
            Comment(one["id"], one["body"].removeprefix(marker).lstrip("\r\n"), one["html_url"])
            for one in self._pages(f"issues/{number}/comments")
            if one["body"].startswith(marker) and one["user"]["type"] == "Bot"
        ]
        return sorted(found, key=lambda one: one.id)

    def unlabel(self, number: int, label: str) -> None:
        """That it isn't there is as good."""
        self._ask("DELETE", f"issues/{number}/labels/{quote(label, safe='')}", missing=True)

    def pull_requests_of(self, commit: str) -> list[int]:
        """The pull requests that brought a commit, the merged ones first."""
        found = self._ask("GET", f"commits/{commit}/pulls", missing=True) or []
        return [one["number"] for one in sorted(found, key=lambda one: (not one.get("merged_at"), one["number"]))]

    def merged(self, number: int, branch: str) -> Merged | None:
        """A pull request, if it was merged into this branch of this repository."""
        found = self._ask("GET", f"pulls/{number}", missing=True)
        if not found or not found.get("merged_at") or found["base"]["ref"] != branch:
            return None
        actor = (found.get("merged_by") or found["user"])["login"]
        return Merged(number, found["head"]["sha"], found["merge_commit_sha"], f"@{actor}")

    def from_branch(self, branch: str) -> PullRequest | None:
        """The open pull request of a branch of this repository."""
        owner = self.repository.partition("/")[0]
        found = self._ask("GET", f"pulls?state=open&head={owner}:{quote(branch, safe='')}")
        return _pull_request(found[0]) if found else None

    def open(self, branch: str, base: str, title: str, body: str) -> PullRequest:
        """A pull request from `branch` to `base` with this text: the one there is, or a new one."""
        if there := self.from_branch(branch):
            self._ask("PATCH", f"pulls/{there.number}", title=title, body=body)
            return there
        try:
            return _pull_request(self._ask("POST", "pulls", head=branch, base=base, title=title, body=body))
        except GitHubRefused:
            if there := self.from_branch(branch):  # somebody was faster
                return there
            raise

    def close(self, number: int) -> None:
        self._ask("PATCH", f"pulls/{number}", state="closed")

    def _pages(self, path: str) -> Iterator[Mapping[str, Any]]:
        page = 1
        while found := self._ask("GET", f"{path}?per_page={PAGE}&page={page}"):
            yield from found
            if len(found) < PAGE:
                return
            page += 1

    def _ask(self, method: str, path: str, missing: bool = False, **body: Any) -> Any:
        """The answer as plain data. With `missing`, None where there is no such thing."""
        try:
            done = self._session.request(method, f"{self._url}/{path}", json=body or None, timeout=SECONDS)
        except requests.RequestException as error:
            message = f"GitHub does not answer ({type(error).__name__})."
            raise GitHubRefused(message, "Nothing is lost: run the workflow again.") from error
        if done.status_code == 404 and missing:
            return None
        if not done.ok:
            raise _refused(method, path, done)
        return done.json() if done.content else None


def _refused(method: str, path: str, done: requests.Response) -> GitHubRefused:
    try:
        said = str(done.json().get("message", ""))
    except ValueError:
        said = ""
    what = re.sub(r"\?.*", "", path)
    hint = {
        401: "The token is not valid any more: run the workflow again.",
        403: "The job's `permissions` don't allow it, or too much was asked in a short time.",
        404: "Not there, or the job's `permissions` don't allow to see it.",
    }.get(done.status_code, "")
    return GitHubRefused(f"GitHub refused {method} {what}: {done.status_code} {said[:200]}".rstrip(), hint)
