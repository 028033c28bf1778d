"""Gates as a report and the command line say them. Pure: returns strings and plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from piste.gates import WAIVABLE, WORST_FIRST, Checked, Outcome, Rule, State, counted
from piste.report import words

RULES = {
    Rule.AT_LEAST: "at least",
    Rule.AT_MOST: "at most",
    Rule.NO_WORSE_THAN: "no worse than",
    Rule.BETTER_THAN: "better than",
}


def sentence(outcome: Outcome) -> str:
    """`field accuracy at least 0.9: 0.964 (0.931 to 0.988)`"""
    gate = outcome.gate
    bound = "" if gate.rule is Rule.BETTER_THAN else f"{gate.bound:g}"
    asked = f"{gate.other} by more than {bound}" if gate.rule is Rule.NO_WORSE_THAN else gate.other or bound
    return f"{words.score_name(gate.score)} {RULES[gate.rule]} {asked}: {_measured(outcome)}"


def _measured(outcome: Outcome) -> str:
    if outcome.value is None:
        return outcome.reason
    write = words.signed if outcome.gate.other else words.number
    ends = f" ({write(outcome.low)} to {write(outcome.high)})" if outcome.low is not None else ""
    unit = "seed" if outcome.seeds else "sample"
    more = f"; about {words.count(outcome.needed, unit)} would tell" if outcome.needed else ""
    return f"{write(outcome.value)}{ends}{f'; {outcome.reason}' if outcome.reason else ''}{more}"


def summary(found: Sequence[Outcome]) -> str:
    """`1 failed (waived), 2 passed`, the worst first, whatever the day."""
    counted = [(state, [one for one in found if one.state is state]) for state in WORST_FIRST]
    return ", ".join(_counted(state, ones) for state, ones in counted if ones)


def _counted(state: State, ones: Sequence[Outcome]) -> str:
    waived = sum(bool(one.waived) for one in ones)
    said = f" ({'waived' if waived == len(ones) else f'{waived} waived'})" if waived else ""
    return f"{len(ones)} {state}{said}"


def lines(found: Sequence[Outcome]) -> list[str]:
    """A line for each gate, on the first screen of a page. Whether a waiver has expired is not for a report to say."""
    return ["**Gates**", "", *told([document(outcome) for outcome in found])] if found else []


def told(gates: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each gate of a report.json; one of an older piste has no words for them."""
    return [_line(gate) for gate in gates if "said" in gate]


def _line(gate: Mapping[str, Any]) -> str:
    said, waiver = gate["said"], gate["waiver"]
    if not waiver or gate["state"] not in WAIVABLE:
        return f"- **{gate['state']}** {words.prose(said)}"
    waived = words.prose(f"{gate['state']}, waived by {waiver['owner']} until {waiver['until']}")
    reason = waiver["reason"]
    return f"- **{waived}** {words.prose(f'{said}. {reason}')}"


def document(outcome: Outcome) -> dict[str, Any]:
    """As report.json has it."""
    gate, waiver = outcome.gate, outcome.waiver
    return {
        "gate": gate.name,
        "state": str(outcome.state),
        "said": sentence(outcome),
        "score": gate.score,
        "rule": str(gate.rule),
        "bound": gate.bound,
        "other": gate.other or None,
        "value": outcome.value,
        "low": outcome.low,
        "high": outcome.high,
        "samples_needed": None if outcome.seeds else outcome.needed,
        "seeds_needed": outcome.needed if outcome.seeds else None,
        "reason": outcome.reason,
        "waiver": {"owner": waiver.owner, "until": waiver.until, "reason": waiver.reason} if waiver else None,
    }


def check_text(gates: Mapping[str, Sequence[Checked]]) -> str:
    """A line for each gate of each experiment, then how many there are of each state."""
    every = [one for found in gates.values() for one in found]
    if not every:
        return "no gates\n"
    width = max(map(len, gates))
    rows = [f"{name:{width}}  {one.state:12}  {_said(one)}" for name, found in gates.items() for one in found]
    return "\n".join([*rows, f"gates: {counted(every)}"]) + "\n"


def _said(one: Checked) -> str:
    outcome, waiver = one.outcome, one.outcome.waived
    if waiver is None:
        return sentence(outcome)
    if one.expired:
        return f"{sentence(outcome)}; the waiver of {waiver.owner} expired after {waiver.until}"
    return f"{sentence(outcome)}; {outcome.state}, waived by {waiver.owner} until {waiver.until}: {waiver.reason}"


def check_json(gates: Mapping[str, Sequence[Checked]]) -> str:
    """As report.json has each gate, with its experiment; `state` is with waivers, on the day of the check."""
    found = [_check(name, one) for name, judged in gates.items() for one in judged]
    return json.dumps({"gates": found}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _check(experiment: str, one: Checked) -> dict[str, Any]:
    known = document(one.outcome)
    waiver = known["waiver"] and {**known["waiver"], "expired": one.expired}
    state = {"state": str(one.state), "judged": str(one.outcome.state)}
    return {"experiment": experiment, **known, **state, "waiver": waiver}
