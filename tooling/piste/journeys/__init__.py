"""What people do with piste, each from top to bottom: validate, plan, apply, follow, collect."""

from __future__ import annotations

from piste.journeys.cleaning import delete, unneeded
from piste.journeys.collecting import Collected, collect, settle
from piste.journeys.comparing import compare, compare_files
from piste.journeys.ledger import begin, import_reports
from piste.journeys.mirroring import (
    Mirroring,
    add_folder,
    all_models,
    begin_mirroring,
    find_model,
    finish_mirroring,
    follow_mirroring,
)
from piste.journeys.planning import plan_live, plan_offline
from piste.journeys.publishing import BRANCH as REPORTS_BRANCH
from piste.journeys.publishing import Published, Publisher, publish, tell_tried
from piste.journeys.reading import Desired, read, validate
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
    "begin",
    "begin_mirroring",
    "cancel",
    "changed",
    "collect",
    "compare",
    "compare_files",
    "cut_down",
    "delete",
    "ended_well",
    "find_model",
    "finish_mirroring",
    "follow",
    "follow_log",
    "follow_mirroring",
    "import_reports",
    "live",
    "logs",
    "plan_live",
    "plan_offline",
    "publish",
    "read",
    "review",
    "runs_page",
    "settle",
    "status",
    "tell_tried",
    "try_",
    "unneeded",
    "validate",
]
