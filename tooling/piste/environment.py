"""Where runs can go and what they run on: the values of [tool.piste] in pyproject.toml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from piste.errors import PisteError
from piste.problems import listed, quoted, sentences, suggestion
from piste.resources import prices

FILE: Final = "pyproject.toml"


@dataclass(frozen=True)
class Roles:
    """Who submits, who may only look, and who may read predictions besides ("": nobody). Upper case."""

    submit: str
    look: str
    analyst: str = ""


@dataclass(frozen=True)
class Environment:
    """Where runs go. `pools` maps the alias that experiments use to a compute pool.

    `secrets` maps an environment variable of jobs to the full name of the Snowflake secret that it holds;
    `model_access` is the integration with which a model's job reaches the hub. `pinned_inputs` refuses runs of what may
    change under its name.
    """

    name: str
    database: str
    schema: str
    connection: str = ""
    role: str = ""
    look_role: str = ""
    analyst_role: str = ""
    warehouse: str = ""
    pools: Mapping[str, str] = field(default_factory=dict)
    external_access: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    model_access: str = ""
    pinned_inputs: bool = False

    @property
    def roles(self) -> Roles:
        """As settings name them; else PISTE_SUBMIT, and beside a role of another name its own _LOOK."""
        submit = (self.role or "PISTE_SUBMIT").upper()
        look = self.look_role or f"{submit.removesuffix('_SUBMIT')}_LOOK"
        return Roles(submit, look.upper(), self.analyst_role.upper())


@dataclass(frozen=True)
class Pool:
    """A compute pool. `family` is its instance family; `nodes` how many it may have; `state` Snowflake's word."""

    name: str
    family: str
    nodes: int
    state: str


@dataclass(frozen=True)
class Runtime:
    """`lock` is a path relative to the root; `image` is the job's runtime_environment, "" for Snowflake's default."""

    name: str
    lock: str
    image: str = ""


@dataclass(frozen=True)
class PolicyException:
    """A rule that does not count for some experiments, for a while: `experiment` is a glob of their names.

    `until` is the last day on which it counts, in UTC: YYYY-MM-DD.
    """

    rule: str
    experiment: str
    owner: str
    until: str
    reason: str


@dataclass(frozen=True)
class Policy:
    """What is refused, what needs somebody's word first, and what is kept for how long.

    `max_submissions` bounds the jobs of one apply; `max_vanished` is the share, 0 to 1, of the ledger's experiments
    that may be gone from git at once; `backlog` is how many jobs may wait in Snowflake's own queue per node of a pool.
    `samples` names the suites whose reports may show text of rows.
    `max_credits_…` bound what may be spent; `allowed_…` are globs; None allows all. `piste.policy_rules.RULES` says
    of each what it forbids.
    """

    max_submissions: int = 20
    max_vanished: float = 0.34
    resume_days: int = 14
    backlog: float = 1
    samples: tuple[str, ...] = ()
    max_credits_per_action: float | None = None
    max_credits_per_plan: float | None = None
    max_credits_per_month: float | None = None
    allowed_pools: tuple[str, ...] | None = None
    allowed_families: tuple[str, ...] | None = None
    allowed_models: tuple[str, ...] | None = None
    allowed_licences: tuple[str, ...] | None = None
    allowed_runtimes: tuple[str, ...] | None = None
    allowed_tables: tuple[str, ...] | None = None
    allowed_owners: tuple[str, ...] | None = None
    reviewed_plan: bool = False
    exceptions: tuple[PolicyException, ...] = ()


@dataclass(frozen=True)
class OnGitHub:
    """How reports come to the default branch: by a pull request, or pushed by an actor that may."""

    reports: Literal["pull-request", "push"] = "pull-request"


@dataclass(frozen=True)
class Settings:
    """`environment` and `runtime` are the names used where nothing names one. `credits` is per node-hour, by instance
    family, `token_credits`, by hosted model, those per million tokens read and written: the account's own prices.
    `model_licences` are those of models that no MODEL.json tells of.
    """

    environment: str = ""
    runtime: str = ""
    environments: Mapping[str, Environment] = field(default_factory=dict)
    runtimes: Mapping[str, Runtime] = field(default_factory=dict)
    credits: Mapping[str, float] = field(default_factory=dict)
    policy: Policy = Policy()
    github: OnGitHub = OnGitHub()
    token_credits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    model_licences: Mapping[str, str] = field(default_factory=dict)

    def chosen(self, name: str = "") -> Environment:
        """The environment of that name, else the default one, else the only one."""
        only = next(iter(self.environments)) if len(self.environments) == 1 else ""
        wanted = name or self.environment or only
        if wanted in self.environments:
            return self.environments[wanted]
        if not wanted:
            raise PisteError("No environment is chosen.", f'Write  environment = "dev"  in [tool.piste] of {FILE}.')
        hint = choices(wanted, self.environments, "environments")
        raise PisteError(f"There is no environment {quoted(wanted)}.", hint)

    def has_rules_offline(self, environment: Environment) -> bool:
        """Whether anything can be refused without asking Snowflake."""
        lists = (value for key, value in vars(self.policy).items() if key.startswith("allowed_"))
        return environment.pinned_inputs or any(value is not None for value in lists)

    @property
    def rates(self) -> Mapping[str, float]:
        """Credits per node-hour by instance family: the account's own, else the list price."""
        return {**prices()["families"], **self.credits}

    @property
    def pools(self) -> Mapping[str, str]:
        """Of the default environment; empty when there is none to check against."""
        try:
            return self.chosen().pools
        except PisteError:
            return {}


def choices(name: str, known: Iterable[str], table: str) -> str:
    """A hint for a name that [tool.piste.`table`] lacks."""
    names = sorted(known)
    if not names:
        return f"Add it to [tool.piste.{table}] in {FILE}."
    return sentences(suggestion(name, names), f"Choose one of {listed(names)}.")
