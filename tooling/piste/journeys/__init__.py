"""What people do with piste, each from top to bottom: validate, plan, apply, follow, collect."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from piste.journeys.approving import approve
    from piste.journeys.cleaning import delete, unneeded
    from piste.journeys.collecting import Collected, collect, settle
    from piste.journeys.comparing import compare, compare_files
    from piste.journeys.history import difference, is_run, log
    from piste.journeys.ledger import begin, import_reports
    from piste.journeys.mirroring import (
        Mirroring,
        add_folder,
        all_models,
        begin_mirroring,
        find_model,
        finish_mirroring,
        follow_mirroring,
        remember,
    )
    from piste.journeys.planning import plan_live, plan_offline, refusals_offline
    from piste.journeys.publishing import BRANCH as REPORTS_BRANCH
    from piste.journeys.publishing import Published, Publisher, publish, tell_tried
    from piste.journeys.reading import Desired, read, validate
    from piste.journeys.refusing import refusals
    from piste.journeys.reviewing import changed, cut_down, review, try_
    from piste.journeys.showing import runs_page
    from piste.journeys.submitting import Submission, apply
    from piste.journeys.watching import Look, cancel, ended_well, follow, follow_log, live, logs, status

__all__ = [
    "REPORTS_BRANCH",
    "Collected",
    "Desired",
    "Look",
    "Mirroring",
    "Published",
    "Publisher",
    "Submission",
    "add_folder",
    "all_models",
    "apply",
    "approve",
    "begin",
    "begin_mirroring",
    "cancel",
    "changed",
    "collect",
    "compare",
    "compare_files",
    "cut_down",
    "delete",
    "difference",
    "ended_well",
    "find_model",
    "finish_mirroring",
    "follow",
    "follow_log",
    "follow_mirroring",
    "import_reports",
    "is_run",
    "live",
    "log",
    "logs",
    "plan_live",
    "plan_offline",
    "publish",
    "read",
    "refusals",
    "refusals_offline",
    "remember",
    "review",
    "runs_page",
    "settle",
    "status",
    "tell_tried",
    "try_",
    "unneeded",
    "validate",
]

_HOMES = {
    "approving": "approve",
    "cleaning": "delete unneeded",
    "collecting": "Collected collect settle",
    "comparing": "compare compare_files",
    "history": "difference is_run log",
    "ledger": "begin import_reports",
    "mirroring": "Mirroring add_folder all_models begin_mirroring find_model finish_mirroring follow_mirroring"
    " remember",
    "planning": "plan_live plan_offline refusals_offline",
    "publishing": "REPORTS_BRANCH Published Publisher publish tell_tried",
    "reading": "Desired read validate",
    "refusing": "refusals",
    "reviewing": "changed cut_down review try_",
    "showing": "runs_page",
    "submitting": "Submission apply",
    "watching": "Look cancel ended_well follow follow_log live logs status",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Each journey is imported when it is begun: a plan needs none of what reports are made with."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"{__name__}.{_HOME_OF[name]}")
    return getattr(home, {"REPORTS_BRANCH": "BRANCH"}.get(name, name))
