"""Plans as text and JSON. Pure: returns strings, prints nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from piste.cost import Estimate, total
from piste.errors import Refusal
from piste.plan import Action, Like, Plan, Verb, arrows, shown
from piste.run import Run
from piste.run_words import status_of

HEADLINE = {
    Verb.TRAIN: "to train",
    Verb.EVALUATE: "to evaluate",
    Verb.WAIT: "to wait for",
    Verb.BLOCKED: "blocked",
    Verb.KEEP: "kept",
}


def headline(plan: Plan) -> str:
    """`2 to train, 1 to evaluate, 14 kept`"""
    counted = [f"{plan.count(verb)} {words}" for verb, words in HEADLINE.items() if plan.count(verb)]
    if not plan.submissions:
        counted.insert(0, "nothing to do")
    return ", ".join(counted)


def plan_json(plan: Plan, observed: str, refused: Iterable[Refusal] = ()) -> str:
    """plan/v1; `observed` is `reports` or `snowflake`."""
    document = {
        "schema": "plan/v1",
        "observed": observed,
        "actions": [_action(action) for action in plan.actions],
        "orphans": [_orphan(run) for run in plan.orphans],
        "cost": _cost(total(plan.actions)),
        "refused": [vars(one) for one in refused],
        "summary": {verb.value: plan.count(verb) for verb in Verb},
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _action(action: Action) -> dict[str, Any]:
    variant = action.variant
    return {
        "experiment": variant.experiment,
        "variant": variant.name,
        "action": action.verb.value,
        "steps": list(action.steps),
        "reason": action.reason,
        "changes": [vars(change) for change in action.changes],
        "against": action.against.name if action.against else None,
        "like": _like(action.like) if action.like else None,
        "cost": _cost(action.cost),
        "training_digest": variant.digests.training,
        "suite_digest": variant.digests.suite,
        "run": action.run.name if action.run else None,
        "queue": action.queue or None,
    }


def _like(like: Like) -> dict[str, Any]:
    run, differing = like.run, [vars(change) for change in like.changes]
    return {"run": run.name, "experiment": run.experiment, "variant": run.variant, "changes": differing}


def _cost(found: Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    keys = ("at_most", "low", "high", "basis", "judge")
    return {**{key: getattr(found, key) for key in keys}, "unknown": list(found.unknown)}


def cost_text(found: Estimate | None) -> str:
    """`at most 2.68 credits; 0.41 to 0.47 by 3 runs of it; the judge's tokens: about 0.34 more at most`"""
    if found is None:
        return ""
    if found.without_nodes and (said := besides(found)):
        return "; ".join(said)
    bound = "no price is known" if found.at_most is None else f"at most {credits(found.at_most)}"
    return "; ".join((bound, expected(found) or "no like run yet", *besides(found)))


def expected(found: Estimate) -> str:
    """What like runs took, and which those were; "" before there are any."""
    return f"{took(found)} by {found.basis}" if found.basis else ""


def took(found: Estimate) -> str:
    assert found.low is not None
    assert found.high is not None
    low, high = f"{found.low:.3g}", f"{found.high:.3g}"
    return low if low == high else f"{low} to {high}"


def besides(found: Estimate) -> list[str]:
    """What comes to it: a judge that was never asked, and what nobody can tell."""
    unknown = f"not in it: {', '.join(found.unknown)}" if found.unknown else ""
    return [said for said in (of_judge(found), unknown) if said]


def of_judge(found: Estimate) -> str:
    """In two digits: it is by assumptions."""
    if found.judge is None:
        return ""
    about = f"{found.judge:,.0f}" if found.judge >= 10 else f"{found.judge:.2g}"
    return f"the judge's tokens: about {about} {'' if found.without_nodes else 'more '}at most"


def credits(amount: float) -> str:
    return f"{amount:,.0f} credits" if amount >= 100 else f"{amount:.3g} credits"


def _orphan(run: Run) -> dict[str, Any]:
    return {
        "run": run.name,
        "experiment": run.experiment,
        "variant": run.variant,
        "training_digest": run.digests.training,
        "status": status_of(run),
    }


def plan_text(plan: Plan, refused: Iterable[Refusal] = ()) -> str:
    lines, order = [headline(plan)], list(HEADLINE)
    for action in sorted(plan.actions, key=lambda action: order.index(action.verb)):
        lines.append(f"  {verb_text(action):18} {action.variant.label:34} {why(action)}".rstrip())
        differing = () if action.verb is Verb.KEEP else action.changes
        lines += [f"  {'':18} {_difference(change)}" for change in differing]
        lines += [f"  {'':18} {cost_text(action.cost)}"] if action.cost else []
    lines += [f"  {'orphan':18} {run.label:34} {run.name}: nothing in git asks for it any more" for run in plan.orphans]
    if found := total(plan.actions):
        lines.append(f"together {cost_text(found)}")
    lines += [f"  {'refused':18} {one.title:34} {one.rule}: {one.message}" for one in refused]
    return "\n".join(lines) + "\n"


def why(action: Action) -> str:
    """The reason, with what the action is like where it is new, and that reused work costs nothing."""
    if action.like:
        return f"{action.reason}; like {action.like.run.title} but {arrows(action.like.changes)}"
    if reused := _reused(action):
        return f"{action.reason}; {reused}"
    return action.reason


def _reused(action: Action) -> str:
    """Of work that somebody did elsewhere: a branch, another experiment."""
    run = action.run
    if run is None or action.verb not in (Verb.KEEP, Verb.EVALUATE):
        return ""
    elsewhere = run.experiment != action.variant.experiment or run.provenance.get("tried")
    return ("0 credits" if action.verb is Verb.KEEP else "0 credits for the training") if elsewhere else ""


def verb_text(action: Action) -> str:
    if action.verb is Verb.EVALUATE:
        return "evaluate (score)" if action.steps == ("score",) else "evaluate"
    return action.verb.value


def _difference(change: Any) -> str:
    return f"{change.path}: {shown(change.old)} → {shown(change.new)}  [{change.rule}]"
