"""All committed reports as one page that sorts, filters and compares, and asks nothing of any other place.

What reports say travels as JSON, and the page's script makes text of it; a policy in the page lets no other script run
and nothing be fetched.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Any
from urllib.parse import quote

from piste.changes import leaves
from piste.errors import Problem
from piste.experiment import primary_score
from piste.gates import WAIVABLE
from piste.report.model import foreign, offline_runs
from piste.report.words import score_name
from piste.resources import page_file
from piste.run import Run

COMPARED = ("difference", "low", "high", "n", "verdict")
PATH = "/=,+@~"
"""What may stand in an address of a page as it is, beside letters and digits."""

SAFE = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&"}
"""Within a script element nothing may look like its end."""


def runs_page(reports: Mapping[str, bytes], base: str) -> tuple[bytes, tuple[Problem, ...]]:
    """The page of these report.json files (by path), and a warning for each that is none.

    `base` leads from the page to the repository's root, or is where the repository can be seen; it ends in a slash.
    """
    shown = _Shown()
    problems: list[Problem] = []
    for path in sorted(reports):
        told, wrong = offline_runs({path: reports[path]})
        problems += wrong
        for run in told:
            try:
                shown.add(path, run, json.loads(reports[path]))
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                problems.append(foreign(path, error))
    style, script = page_file("page.css"), page_file("page.js")
    page = Template(page_file("page.html")).substitute(
        policy=_policy(style, script), style=style, script=script, data=shown.data(base)
    )
    return page.encode(), tuple(problems)


def _policy(style: str, script: str) -> str:
    """Of the content: this style and this script, and nothing from anywhere."""
    style_src, script_src = (f"'sha256-{_sha256(text)}'" for text in (style, script))
    nothing = "default-src 'none'; base-uri 'none'; form-action 'none'"
    return f"{nothing}; img-src data:; style-src {style_src}; script-src {script_src}"


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@dataclass
class _Shown:
    """The runs so far. Settings are the same in many of them, so each is kept once: [path, rule, value as JSON]."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    scores: dict[str, None] = field(default_factory=dict)
    settings: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def add(self, path: str, run: Run, document: Mapping[str, Any]) -> None:
        settings = sorted(_settings(run.spec))
        row = _row(path, run, document)
        self.scores |= dict.fromkeys(row["scores"])
        row["settings"] = [self.settings.setdefault(one, len(self.settings)) for one in settings]
        self.runs.append(row)

    def data(self, base: str) -> str:
        document = {
            "base": base,
            "labels": {score: score_name(score) for score in self.scores},
            "runs": self.runs,
            "scores": list(self.scores),
            "settings": list(self.settings),
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False).translate(SAFE)


def _row(path: str, run: Run, document: Mapping[str, Any]) -> dict[str, Any]:
    experiment, digests = run.spec["experiment"], run.digests
    folder = path.removesuffix("report.json")
    title = str(experiment.get("title") or "")
    return {
        "id": folder.removeprefix("experiments/").replace("/report/", "/", 1).rstrip("/"),
        "page": quote(f"{folder}README.md", safe=PATH),
        "experiment": run.experiment,
        "variant": run.variant,
        "title": title,
        "suite": str(document.get("suite") or experiment["evaluate"]["suite"]),
        "split": run.split,
        "suite_digest": digests.suite,
        "generation_digest": digests.generation,
        "scoring_digest": digests.scoring,
        "run": run.name,
        "status": str(document["status"]),
        "failure": run.failure.kind if run.failure else "",
        "date": run.ended_at or run.claimed_at,
        "credits": _number((document.get("cost") or {}).get("credits")),
        "primary": primary_score(run.spec["suite"]),
        "scores": _scores(document["scores"]),
        "against": _against(document["comparison"]),
        "gates": [_gate(gate) for gate in document.get("gates") or ()],
        "words": " ".join(_words(run, title)),
    }


def _words(run: Run, title: str) -> Iterable[str]:
    """What can be searched for."""
    experiment, provenance = run.spec["experiment"], run.provenance
    yield from (run.experiment, run.variant, run.split, run.name, title)
    yield from (str(experiment.get(key) or "") for key in ("question", "conclusion", "owner"))
    yield from map(str, experiment.get("tags") or ())
    yield from (str(provenance.get(key) or "") for key in ("actor", "branch", "commit"))


def _scores(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: _score(score) for name, score in scores.items() if _number(score["mean"]) is not None}


def _score(score: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {key: _number(score.get(key)) for key in ("mean", "low", "high", "n")}
    fields = {name: _number(mean) for name, mean in (score.get("per_field") or {}).items()}
    return told | ({"fields": fields} if fields else {})


def _against(comparison: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if comparison is None:
        return None
    name, variant = str(comparison["experiment"]), str(comparison.get("variant") or "")
    scores = {score: {key: _told(found.get(key)) for key in COMPARED} for score, found in comparison["scores"].items()}
    return {"title": f"{name}/{variant}" if variant else name, "run": str(comparison["run"]), "scores": scores}


def _gate(gate: Mapping[str, Any]) -> dict[str, Any]:
    """`state` as it stands, `waived` by whom and until when."""
    waiver = gate.get("waiver") if gate["state"] in WAIVABLE else None
    waived = f"waived by {waiver['owner']} until {waiver['until']}" if waiver else ""
    return {"state": str(gate["state"]), "said": str(gate.get("said") or gate["gate"]), "waived": waived}


def _told(value: Any) -> float | str | None:
    return value if isinstance(value, str) else _number(value)


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def _settings(spec: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """All that may change a result, or where it is made: no titles and no names of people."""
    for path, value, rule in leaves(spec):
        if rule != "prose":
            yield path, rule, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if spec.get("split"):
        yield "split", "generate", str(spec["split"])
