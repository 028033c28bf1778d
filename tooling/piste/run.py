"""What Snowflake knows: runs, put together from the ledger, the claims' stages and the jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from piste.experiment import Digests, Document


class Status(StrEnum):
    CLAIMED = "claimed"
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def live(self) -> bool:
        return self in (Status.CLAIMED, Status.PENDING, Status.RUNNING)


@dataclass(frozen=True)
class Progress:
    """The latest heartbeat. `phase` is one of install, fetch, train, generate, score, upload; times are seconds."""

    phase: str
    step: int = 0
    steps: int = 0
    loss: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    at: str = ""


@dataclass(frozen=True)
class Failure:
    """Why a run ended badly, in words that carry no row of data.

    `kind` is a class of FAULTS; `type` an exception's type name.
    """

    phase: str
    kind: str
    type: str = ""
    message: str = ""
    hint: str = ""

    @property
    def fault(self) -> str:
        """Whose it is: the experiment's, the platform's, the budget's or a person's. Only the platform's is retried."""
        return FAULTS.get(self.kind, "experiment")


FAULTS = {
    "recipe": "experiment",
    "data": "experiment",
    "training": "experiment",
    "diverged": "experiment",
    "stalled": "experiment",
    "killed": "experiment",
    "evaluation": "experiment",
    "timeout": "budget",
    "cancelled": "person",
    "platform": "platform",
}
"""The classes of failures. A step that does not come is the experiment's: trying it again would hang again."""


@dataclass(frozen=True)
class Run:
    """One ML Job that trains and evaluates a variant, or only evaluates one that is trained.

    `name` is the claim: the stage the run lives in. `steps` is what the job does: ("train", "generate", "score") or a
    tail of it. `training` and `evaluation` are None where the run has no such part. `job_status` is Snowflake's word,
    empty where no job is listed; `forgotten` says that, besides, nothing was heard of the run for a day; `collected`
    says that its end is in the ledger. `closed` says that a later attempt shut its fence before a job of it could
    start; `unrecorded` names the events that the ledger lacks although they happened: their writer died. `stopping`
    says who or what asked it to stop ({"kind", "actor"}). `results` is the run's results.json (schema: results/v1).
    `measured` has its means with intervals; `comparisons` is keyed by the other run's name, `pooled` (over seeds) by
    `measures.seeds_key`; `judged` is keyed by the judge's digest, and so are the comparisons of its scores
    (`judged.key`). `shown` holds the text of samples that its suite lets people see (`samples.body`). `archived` is
    when the ledger noted that nothing in git asks for the run any more, `deleted` when its stage was deleted on
    purpose. Times are ISO 8601, UTC.
    """

    name: str
    experiment: str
    variant: str
    digests: Digests
    attempt: int
    steps: tuple[str, ...]
    training: Status | None
    evaluation: Status | None
    spec: Document = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    job: str | None = None
    job_status: str = ""
    collected: bool = False
    forgotten: bool = False
    closed: bool = False
    unrecorded: tuple[str, ...] = ()
    stopping: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress | None = None
    results: Mapping[str, Any] | None = None
    failure: Failure | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)
    comparisons: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pooled: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    judged: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shown: Mapping[str, Any] = field(default_factory=dict)
    claimed_at: str = ""
    started_at: str = ""
    ended_at: str = ""
    heard_at: str = ""
    archived: str = ""
    deleted: str = ""

    @property
    def imported(self) -> bool:
        """The ledger knows it from its committed report, which says more than the ledger then does."""
        return "imported_by" in self.provenance

    @property
    def smoke(self) -> bool:
        """It was cut down to see whether it runs at all; its scores say nothing."""
        return bool(self.provenance.get("smoke"))

    @property
    def abandoned(self) -> bool:
        """Its claim came to nothing: no job of it has trained or ever will."""
        return Status.LOST in (self.training, self.evaluation) and (self.closed or self.job is None)

    @property
    def live(self) -> bool:
        return any(status is not None and status.live for status in (self.training, self.evaluation))

    @property
    def title(self) -> str:
        return f"{self.experiment}/{self.variant}" if self.variant else self.experiment

    @property
    def scores(self) -> Mapping[str, Mapping[str, Any]]:
        """What its evaluation found, by score: mean, n, per_field; empty without one."""
        return self.evaluated.get("scores") or {}

    @property
    def evaluated(self) -> Mapping[str, Any]:
        """The `evaluation` of its results; empty without one."""
        return (self.results or {}).get("evaluation") or {}

    @property
    def nodes(self) -> int:
        """As it was submitted, else as its experiment says."""
        asked = self.spec.get("experiment", {}).get("train", {}).get("nodes")
        return int(self.provenance.get("nodes") or asked or 1)

    @property
    def seconds(self) -> float | None:
        """From its start to its end; None before both are known."""
        if not (self.started_at and self.ended_at):
            return None
        return (datetime.fromisoformat(self.ended_at) - datetime.fromisoformat(self.started_at)).total_seconds()

    @property
    def split(self) -> str:
        """Of the suite's splits, the one it was scored on; "" where the suite has only one."""
        return str(self.spec.get("split") or "")

    @property
    def label(self) -> str:
        """The title with the split."""
        return f"{self.title} ({self.split})" if self.split else self.title
