"""A plan as a reviewer reads it, in Markdown: what a pull request changes, why, at what cost, and what it reaches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from piste.changes import Change
from piste.cost import total
from piste.data_access import Access
from piste.errors import Problem, Refusal
from piste.plan import Action, Plan, Verb, shown
from piste.problems import printable
from piste.rendering import HEADLINE, besides, expected, of_judge, took, verb_text, why
from piste.run import Run
from piste.run_words import status_of, what

MARKER = "<!-- piste:plan -->"
"""Begins the one comment that a pull request has from piste."""

TRIED, TRIED_END = "<!-- piste:tried -->", "<!-- /piste:tried -->"
"""Around what was tried from the pull request, which is written anew whenever one of those runs ends."""

LIMIT = 60_000
"""Characters of a comment. GitHub refuses more than 65,536."""

CHANGES = 6
"""So many changed keys of an action are shown; the plan in the artifact has all of them."""

REFUSALS = 10
"""So many refusals of a rule are shown."""

ROWS = 200
"""So many of a table are more than enough to read."""

ASKED_FIRST = {Verb.TRAIN: 0, Verb.EVALUATE: 1, Verb.BLOCKED: 2, Verb.WAIT: 3, Verb.KEEP: 4}


@dataclass(frozen=True)
class Review:
    """`mine` holds the titles of what the pull request changes; all others were asked for before it.

    `removed` are experiments that it takes away. `credits` is what each action may cost at most, None without a price.
    `refused` is what a policy says against it. `tried` are runs that were asked for from this pull request. `head` is
    its commit. `triable` says that a label can try it, `approves` that merging it is what lets it be submitted.
    """

    plan: Plan
    mine: Collection[str]
    offline: bool = False
    removed: Sequence[str] = ()
    credits: Mapping[str, float | None] = field(default_factory=dict)
    refused: Sequence[Refusal] = ()
    access: Access = field(default_factory=Access)
    tried: Sequence[Run] = ()
    head: str = ""
    triable: bool = False
    approves: bool = False

    @property
    def changed(self) -> tuple[Action, ...]:
        """The actions on what the pull request changes."""
        return tuple(action for action in self.plan.actions if action.variant.label in self.mine)


def whole(plan: Plan, offline: bool = False, refused: Sequence[Refusal] = ()) -> Review:
    """Of a plan that stands for itself: everything in it is meant."""
    return Review(plan, frozenset(action.variant.label for action in plan.actions), offline, refused=refused)


def comment(review: Review, limit: int = LIMIT) -> str:
    """At most `limit` characters: the dearest actions first, the rest counted."""
    head, tail = _head(review), _tail(review)
    room = limit - _size(head) - _size(tail)
    tables = [table for table in _tables(review) if table.rows]
    body: list[str] = []
    for left, table in zip(range(len(tables), 0, -1), tables, strict=True):
        made = table.lines(room * 3 // 4 if left > 1 else room)
        room -= _size(made)
        body += made
    return "\n".join([*head, *body, *tail]) + "\n"


def invalid(problems: Sequence[Problem], most: int = 50) -> str:
    """In place of a plan, where the files can't be used."""
    rows = [f"* `{_code(_place(one))}` {cell(one.message)} {cell(one.hint)}".rstrip() for one in problems[:most]]
    more = [f"* and {len(problems) - most} more"] if len(problems) > most else []
    count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
    head = [f"### piste plan: {count} to mend first", ""]
    last = "**Next.** Mend them and push again; `piste validate` says the same."
    return "\n".join([*head, *rows, *more, "", last]) + "\n"


def _place(problem: Problem) -> str:
    return f"{problem.file}:{problem.line}" if problem.line else problem.file


def _size(lines: Iterable[str]) -> int:
    return sum(len(line) + 1 for line in lines)


def headline(review: Review) -> str:
    """`2 to train, 1 to evaluate, 14 kept`: of what the pull request changes, and all that stays."""
    counted = []
    for verb, words in HEADLINE.items():
        of = review.plan.actions if verb is Verb.KEEP else review.changed
        if number := sum(action.verb is verb for action in of):
            counted.append(f"{number:,} {words}")
    if review.removed:
        counted.append(f"{len(review.removed)} removed")
    if not any(action.submits for action in review.changed):
        counted.insert(0, "nothing to do")
    return ", ".join(counted)


def _head(review: Review) -> list[str]:
    lines = [f"### piste plan: {headline(review)}", ""]
    lines += _refused(review.refused)
    if review.offline:
        lines += ["By the reports committed in git alone: runs in progress can't be seen, costs are not known.", ""]
    elif price := _price(review):
        lines += [price, ""]
    return [*lines, *tried_block(review.tried)] if review.head else lines


def _refused(refusals: Sequence[Refusal]) -> list[str]:
    """By rule: what of it is refused, and what to do then."""
    lines = []
    for rule in dict.fromkeys(one.rule for one in refusals):
        of = [one for one in refusals if one.rule == rule]
        said = [f"> * {cell(': '.join(filter(None, (one.title, one.message))))}" for one in of[:REFUSALS]]
        more = [f"> * and {len(of) - REFUSALS:,} more"] if len(of) > REFUSALS else []
        lines += ["> [!WARNING]", f"> **Refused** by `{rule}`. {cell(of[0].hint)}", ">", *said, *more, ""]
    return lines


def _price(review: Review) -> str:
    prices = [review.credits.get(action.variant.label) for action in review.changed if action.submits]
    known = [price for price in prices if price is not None]
    found = total(review.changed)
    judge = f"{said[0].upper()}{said[1:]}." if found and (said := of_judge(found)) else ""
    if not known:
        return judge
    unknown = f", {len(prices) - len(known)} without a price" if len(known) < len(prices) else ""
    like = f" Like runs took {cell(took(found))}." if found and found.low is not None else ""
    spent = f"At most **{_credits(sum(known))}** if all of it takes its timeout{unknown}.{like}"
    return " ".join(filter(None, (spent, judge)))


def _credits(amount: float) -> str:
    return f"{amount:,.0f} credits" if amount >= 100 else f"{amount:.2f} credits"


@dataclass(frozen=True)
class _Table:
    """Rows under a header, folded where there is a `summary`. What does not fit is counted."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    summary: str = ""

    def lines(self, room: int) -> list[str]:
        around = ["<details>", f"<summary>{self.summary}</summary>", "", *self._header(), "", "</details>", ""]
        room -= _size(around) + 80
        fitting: list[str] = []
        for row in self.rows[:ROWS]:
            line = f"| {' | '.join(row)} |"
            room -= len(line) + 1
            if room < 0:
                break
            fitting.append(line)
        rest = len(self.rows) - len(fitting)
        more = ["", f"and {rest:,} more; the artifact `piste-plan` of this run has all of them."] if rest else []
        inner = [*self._header(), *fitting, *more, ""]
        return [*around[:3], *inner, *around[-2:]] if self.summary else inner

    def _header(self) -> list[str]:
        return [f"| {' | '.join(self.header)} |", "|" + " --- |" * len(self.header)]


def _tables(review: Review) -> list[_Table]:
    mine = sorted(review.changed, key=lambda action: _rank(review, action))
    others = [action for action in review.plan.actions if action.variant.label not in review.mine]
    kept = [action for action in review.plan.actions if action.verb is Verb.KEEP]
    before = [action for action in others if action.verb is not Verb.KEEP]
    return [
        _Table(("", "why"), [_row(review, action) for action in mine if action.verb is not Verb.KEEP]),
        _Table(("removed", ""), [(cell(name), "its runs and models stay") for name in review.removed]),
        _Table(("", "why"), [_row(review, one) for one in before], f"{len(before):,} due without this pull request"),
        _Table(("kept", "why"), [(cell(one.variant.label), _kept(one)) for one in kept], f"{len(kept):,} kept"),
        _Table(
            ("orphan", "was"),
            [(cell(run.name), cell(f"{run.label}: {status_of(run)}")) for run in review.plan.orphans],
            f"{len(review.plan.orphans):,} that nothing in git asks for any more; they stay",
        ),
    ]


def _rank(review: Review, action: Action) -> tuple[int, float, str]:
    return ASKED_FIRST[action.verb], -(review.credits.get(action.variant.label) or 0.0), action.variant.label


def _row(review: Review, action: Action) -> tuple[str, str]:
    price = review.credits.get(action.variant.label) if action.submits else None
    cost = f"<br>≤ {_credits(price)}" if price is not None else ""
    found = action.cost
    if found is not None and found.low is not None and found.high is not None:
        cost += f"<br>{cell(expected(found))}"
    if found is not None:
        cost += "".join(f"<br>{cell(said)}" for said in besides(found))
    return f"**{verb_text(action)}**<br>{cell(action.variant.label)}{cost}", _why(action)


def _kept(action: Action) -> str:
    return cell("; ".join([why(action), *(besides(action.cost) if action.cost else ())]))


def _why(action: Action) -> str:
    told = action.changes if action.submits else ()
    causes = [change for change in told if change.rule in ("train", "generate", "score")]
    if not causes:
        asked = action.variant.spec["experiment"].get("question", "") if action.submits else ""
        said = why(action)
        return cell(f"{said}: {shown(asked, 120)}" if asked else said)
    more = [f"and {len(causes) - CHANGES} more"] if len(causes) > CHANGES else []
    return "<br>".join([*(_change(change) for change in causes[:CHANGES]), *more])


def _change(change: Change) -> str:
    return f"`{_code(change.path)}` {cell(shown(change.old))} → {cell(shown(change.new))} ({change.rule})"


def tried_block(runs: Sequence[Run], most: int = 20) -> list[str]:
    """What was tried from a pull request, the latest first."""
    latest = sorted(runs, key=lambda run: run.claimed_at, reverse=True)
    rows = [f"| {' | '.join(_tried(run))} |" for run in latest[:most]]
    table = ["| tried from here | what came of it |", "| --- | --- |", *rows, ""] if rows else []
    return [TRIED, *table, TRIED_END, ""]


def with_tried(comment: str, runs: Sequence[Run]) -> str:
    """A comment that was written before, with what is known of the runs by now."""
    before, found, rest = comment.partition(TRIED)
    _, closed, after = rest.partition(TRIED_END)
    block = "\n".join(tried_block(runs)[:-2])
    return f"{before}{block}\n{TRIED_END}{after}" if found and closed else comment


def _tried(run: Run) -> tuple[str, str]:
    said, state = what(run), status_of(run)
    return f"{cell(run.label)}<br>`{run.name}`", f"**{state}**<br>{cell(said)}" if said != run.name else f"**{state}**"


def _tail(review: Review) -> list[str]:
    reach = review.access
    lines = []
    if any(action.submits for action in review.changed):
        lines += _listed("Reads", [*reach.tables, *reach.stages])
        lines += _listed("Reads from outside Snowflake", reach.hub)
        lines += _listed("Sends prompts to models of Cortex", reach.hosted)
        lines += _listed("Runs code of this pull request", reach.code)
    if not review.head:
        return lines
    return [*lines, f"**Next.** {_next(review)} <sub>{review.head[:7]} as it would be merged</sub>"]


def _listed(what: str, names: Sequence[str], most: int = 10) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return [f"**{what}** {', '.join(f'`{_code(name)}`' for name in names[:most])}{more}", ""]


def _next(review: Review) -> str:
    due = [action for action in review.changed if action.submits]
    if review.refused:
        return "Change what is refused above, or ask the owners of the policy; then push again."
    if not due and any(action.verb is Verb.BLOCKED for action in review.changed):
        return "What is blocked stays so until its documents change, or somebody says `piste apply --retry NAME`."
    if not due:
        return "Merging this trains and evaluates nothing."
    tried = (
        " To see it run before: the label `piste:smoke` (3 steps, 16 rows) or `piste:run` (all of it; the merge then"
        " trains nothing again)."
        if review.triable
        else ""
    )
    then = "that approves what is listed, at these prices; it is" if review.approves else "what is listed is"
    return f"Merge it: {then} submitted then, and the report comes back to `main`.{tried}"


def cell(text: str) -> str:
    """No table, link, mention or HTML may come out of a name or a value."""
    escaped = "".join(f"\\{mark}" if mark in "\\|[]*_`~#" else mark for mark in printable(text.replace("\n", " ")))
    return escaped.replace("<", "&lt;").replace("@", "@\u200b")


def _code(text: str) -> str:
    return printable(text).replace("`", "'").replace("|", "\\|")
