"""The judge's statements. Prompts, answers and reasons are read and written inside Snowflake alone.

JUDGEMENTS holds a row for each question: `KIND` is `answer` (one answer by itself), `first` or `second` (ours in that
place of a pair), `gold` or `canary`; `HOW` is `asked`, `reused` (the very same question was asked before) or `required`
(a format check decided). A row is asked first and read afterwards, so that a reply is paid for once, whatever dies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from piste.experiment import JUDGE, PAIRWISE, Document
from piste.judge import PAIR, TRIES, Judge, form, question, response_schema
from piste.sql import column, constant, literal, query
from piste.templates import COLUMN

GOLD = "GOLD"
"""In place of a run, of answers that people have judged."""

_MESSAGE = "TRY_PARSE_JSON(REPLY):choices[0]:structured_output[0]:raw_message"
_ONCE = "QUALIFY ROW_NUMBER() OVER (PARTITION BY RUN, SAMPLE_ID, KIND, OTHER ORDER BY AT) = 1"


@dataclass(frozen=True)
class Questions:
    """Those of one kind about one run; `rival` is the run that a pair is made with, or ""."""

    judge: Judge
    suite: Document
    run: str
    kind: str
    rival: str = ""

    @property
    def pairwise(self) -> bool:
        return self.kind in PAIR


def every(asked: Questions) -> str:
    """All samples with their prompt."""
    first = "P.PREDICTION"
    more = ""
    if asked.pairwise:
        more = f" JOIN PREDICTIONS R ON R.SAMPLE_ID = P.SAMPLE_ID AND R.RUN = {literal(asked.rival)}"
    answers = [first, "R.PREDICTION"] if asked.kind != "second" else ["R.PREDICTION", first]
    key = column(asked.suite["data"]["key"])
    return (
        f"SELECT P.RUN AS RUN, P.SAMPLE_ID AS SAMPLE_ID, {_prompt(asked, answers)} AS PROMPT FROM PREDICTIONS P"
        f" JOIN ({query(asked.suite['data']['sql'])}) S ON {key} = P.SAMPLE_ID{more}"
        f" WHERE P.RUN = {literal(asked.run)}"
    )


def gold(asked: Questions) -> str:
    """As `every`, of answers that people have judged, with what they said as HUMAN."""
    told, key = asked.judge.gold, column(asked.suite["data"]["key"])
    answer = column(told["answer"])
    return (
        f"SELECT {literal(asked.run)} AS RUN, {key} || '#' || SHA2({answer}) AS SAMPLE_ID,"
        f" {_prompt(asked, [answer])} AS PROMPT, LOWER(TRIM({column(told['verdict'])})) AS HUMAN"
        f" FROM ({query(told['sql'])}) S"
    )


def canaries(asked: Questions) -> str:
    """As `every`, of the first answers that this judge was ever asked about, word for word the same question."""
    key = column(asked.suite["data"]["key"])
    mine = f"JUDGE = {literal(asked.judge.digest)} AND KIND = 'answer' AND HOW = 'asked' AND PARSED"
    return (
        f"SELECT RUN, SAMPLE_ID, PROMPT FROM (SELECT K.RUN AS RUN, K.SAMPLE_ID AS SAMPLE_ID, K.QUESTION AS QUESTION,"
        f" K.AT AS AT, {_prompt(asked, ['P.PREDICTION'])} AS PROMPT FROM (SELECT * FROM JUDGEMENTS WHERE {mine}) K"
        f" JOIN PREDICTIONS P ON P.RUN = K.RUN AND P.SAMPLE_ID = K.SAMPLE_ID"
        f" JOIN ({query(asked.suite['data']['sql'])}) S ON {key} = P.SAMPLE_ID) WHERE SHA2(PROMPT) = QUESTION"
        f" ORDER BY AT, RUN, SAMPLE_ID LIMIT {asked.judge.canaries}"
    )


def _prompt(asked: Questions, answers: Sequence[str]) -> str:
    found: list[str] = []
    for kind, text in question(asked.judge, asked.suite, asked.pairwise):
        if kind == "answer":
            found.append(f"COALESCE({answers[int(text) - 1]}, '')")
        else:
            found += [literal(text)] if kind == "text" else _filled(text)
    return " || ".join(found)


def _filled(template: str) -> Iterator[str]:
    for place, part in enumerate(COLUMN.split(template)):
        if place % 2:
            yield f"COALESCE({column(part)}, '')"
        elif part:
            yield literal(part)


def _unanswered(asked: Questions, source: str, tries: int = TRIES) -> str:
    """Those of a source's questions that have no answer yet."""
    rows = (
        f"SELECT RUN, SAMPLE_ID, COUNT(*) AS TRIES, COUNT_IF(HOW <> 'asked' OR REPLY IS NOT NULL) AS ANSWERED"
        f" FROM JUDGEMENTS WHERE {_these(asked)} GROUP BY RUN, SAMPLE_ID"
    )
    return (
        f"SELECT Q.RUN AS RUN, Q.SAMPLE_ID AS SAMPLE_ID, Q.PROMPT AS PROMPT FROM ({source}) Q LEFT JOIN ({rows}) J"
        f" ON J.RUN = Q.RUN AND J.SAMPLE_ID = Q.SAMPLE_ID"
        f" WHERE COALESCE(J.ANSWERED, 0) = 0 AND COALESCE(J.TRIES, 0) < {tries}"
    )


def _these(asked: Questions) -> str:
    """A canary is about some other run; its rows are told by the run for whose sake it sings."""
    run = "" if asked.kind == "canary" else f" AND RUN = {literal(asked.run)}"
    judge, kind, other = map(literal, (asked.judge.digest, asked.kind, _other(asked)))
    return f"JUDGE = {judge} AND KIND = {kind} AND OTHER = {other}{run}"


def _other(asked: Questions) -> str:
    return f"{asked.run}|{asked.rival}" if asked.kind == "canary" else asked.rival


def decide_by_format(asked: Questions) -> str:
    """Insert the verdicts that need no judge: of answers that fail a score they are required to pass."""
    scores = ", ".join(literal(name) for name in asked.judge.require)
    failing = (
        f"SELECT DISTINCT RUN, SAMPLE_ID FROM SAMPLE_SCORES WHERE SCORE IN ({scores}) AND FIELD = '' AND VALUE < 1"
    )
    worst = asked.judge.scale[0]
    if asked.pairwise:
        ours, theirs = (f"{one}.SAMPLE_ID IS NOT NULL" for one in ("F", "G"))
        rival = f" LEFT JOIN ({failing}) G ON G.RUN = {literal(asked.rival)} AND G.SAMPLE_ID = Q.SAMPLE_ID"
        value = f"CASE WHEN {ours} AND {theirs} THEN 0.5 WHEN {ours} THEN 0 ELSE 1 END"
        verdict, where = literal("tie"), f"({ours} OR {theirs})"
    else:
        rival, value, verdict, where = "", "0", literal(worst), "F.SAMPLE_ID IS NOT NULL"
    told = json.dumps({name: {"verdict": worst} for name in asked.judge.sections})
    sections = "NULL" if asked.pairwise else f"PARSE_JSON({literal(told)})"
    return (
        "INSERT INTO JUDGEMENTS (RUN, SAMPLE_ID, JUDGE, KIND, OTHER, HOW, AT, VERDICT, SECTIONS, VALUE, PARSED)"
        f" SELECT Q.RUN, Q.SAMPLE_ID, {_named(asked)}, 'required', CURRENT_TIMESTAMP(), {verdict}, {sections}, {value},"
        f" TRUE FROM ({_unanswered(asked, every(asked))}) Q"
        f" LEFT JOIN ({failing}) F ON F.RUN = Q.RUN AND F.SAMPLE_ID = Q.SAMPLE_ID{rival} WHERE {where}"
    )


def reuse(asked: Questions) -> str:
    """Insert the verdicts of questions that this judge has answered before, word for word, of whatever run."""
    known = (
        f"SELECT QUESTION, VERDICT, SECTIONS, REASON, VALUE, PARSED FROM JUDGEMENTS"
        f" WHERE JUDGE = {literal(asked.judge.digest)} AND KIND = {literal(asked.kind)} AND HOW = 'asked'"
        " AND PARSED IS NOT NULL AND REPLY IS NOT NULL"
        " QUALIFY ROW_NUMBER() OVER (PARTITION BY QUESTION ORDER BY AT) = 1"
    )
    return (
        "INSERT INTO JUDGEMENTS (RUN, SAMPLE_ID, JUDGE, KIND, OTHER, HOW, AT, QUESTION, VERDICT, SECTIONS, REASON,"
        f" VALUE, PARSED) SELECT Q.RUN, Q.SAMPLE_ID, {_named(asked)}, 'reused', CURRENT_TIMESTAMP(), K.QUESTION,"
        f" K.VERDICT, K.SECTIONS, K.REASON, K.VALUE, K.PARSED FROM ({_unanswered(asked, every(asked))}) Q"
        f" JOIN ({known}) K ON K.QUESTION = SHA2(Q.PROMPT)"
    )


def tried(asked: Questions) -> str:
    """How often the questions were put that have no answer: N, the most."""
    return (
        f"SELECT COALESCE(MAX(TRIES), 0) AS N FROM (SELECT COUNT(*) AS TRIES FROM JUDGEMENTS WHERE {_these(asked)}"
        " GROUP BY RUN, SAMPLE_ID HAVING COUNT_IF(HOW <> 'asked' OR REPLY IS NOT NULL) = 0)"
    )


def ask(asked: Questions, source: str, tries: int = TRIES) -> str:
    """Insert a batch of replies as they come; `read` makes verdicts of them. The one statement that costs."""
    judge = asked.judge
    form = {"type": "json", "schema": response_schema(judge, asked.pairwise)}
    reply = (
        f"AI_COMPLETE(model => {literal(judge.model)}, prompt => PROMPT,"
        f" model_parameters => {constant(judge.parameters)}, response_format => {constant(form)}, show_details => TRUE)"
    )
    batch = f"{_unanswered(asked, source, tries)} ORDER BY Q.RUN, Q.SAMPLE_ID LIMIT {judge.batch}"
    return (
        "INSERT INTO JUDGEMENTS (RUN, SAMPLE_ID, JUDGE, KIND, OTHER, HOW, AT, QUESTION, REPLY)"
        f" SELECT RUN, SAMPLE_ID, {_named(asked)}, 'asked', CURRENT_TIMESTAMP(), SHA2(PROMPT), TO_VARCHAR({reply})"
        f" FROM ({batch})"
    )


def in_job(judge: Judge, suite: Document, run: str) -> dict[str, Any]:
    """What the job of a run needs in order to judge by a model on a stage: statements, and how a reply is asked for.

    `questions` name their rows of JUDGEMENTS (`row`); `before` is executed first, `select` gives RUN, SAMPLE_ID, PROMPT
    and QUESTION of what is to be asked.
    """
    alone = Questions(judge, suite, run, "answer")
    people = Questions(judge, suite, GOLD, "gold")
    prepare = [decide_by_format(alone)] if judge.require else []
    asked = [(alone, [*prepare, reuse(alone)], every(alone)), *([(people, [], gold(people))] if judge.gold else [])]
    return {
        "model": judge.model,
        "max_new_tokens": judge.parameters["max_tokens"],
        "form": form(judge),
        "questions": [
            {
                "row": {"JUDGE": judge.digest, "KIND": one.kind, "OTHER": _other(one), "HOW": "asked"},
                "before": before,
                "select": "SELECT RUN, SAMPLE_ID, PROMPT, SHA2(PROMPT) AS QUESTION"
                f" FROM ({_unanswered(one, source)}) ORDER BY RUN, SAMPLE_ID",
            }
            for one, before, source in asked
        ],
    }


def _named(asked: Questions) -> str:
    return ", ".join(map(literal, (asked.judge.digest, asked.kind, _other(asked))))


def read(judge: Judge) -> str:
    """Make verdicts of the replies of this judge that nobody has read yet."""
    verdict = f"{_MESSAGE}:verdict::VARCHAR"
    alone = [f"({_among(verdict, judge.scale)})"]
    alone += [_among(_section(_MESSAGE, name), judge.scale) for name in judge.sections]
    pair = _among(verdict, PAIR)
    return (
        f"UPDATE JUDGEMENTS SET VERDICT = {verdict}, REASON = {_MESSAGE}:reason::VARCHAR,"
        f" SECTIONS = {_MESSAGE}:sections,"
        f" VALUE = CASE KIND WHEN 'first' THEN {_valued(verdict, dict(zip(PAIR, (1, 0, 0.5), strict=True)))}"
        f" WHEN 'second' THEN {_valued(verdict, dict(zip(PAIR, (0, 1, 0.5), strict=True)))}"
        f" ELSE {_valued(verdict, _values(judge))} END,"
        f" PARSED = COALESCE(CASE WHEN KIND IN ('first', 'second') THEN {pair} ELSE {' AND '.join(alone)} END, FALSE),"
        " TOKENS_IN = TRY_PARSE_JSON(REPLY):usage:prompt_tokens::NUMBER,"
        " TOKENS_OUT = TRY_PARSE_JSON(REPLY):usage:completion_tokens::NUMBER"
        f" WHERE JUDGE = {literal(judge.digest)} AND HOW = 'asked' AND PARSED IS NULL"
    )


def _section(message: str, name: str) -> str:
    return f"{message}:sections:{name}:verdict::VARCHAR"


def _among(verdict: str, scale: Sequence[str]) -> str:
    return f"{verdict} IN ({', '.join(map(literal, scale))})"


def _values(judge: Judge) -> dict[str, float]:
    """From 0, the worst, to 1."""
    return {verdict: place / (len(judge.scale) - 1) for place, verdict in enumerate(judge.scale)}


def _valued(verdict: str, values: Mapping[str, float]) -> str:
    cases = " ".join(f"WHEN {literal(name)} THEN {value:g}" for name, value in values.items())
    return f"CASE {verdict} {cases} END"


def forget_scores(run: str) -> str:
    return f"DELETE FROM SAMPLE_SCORES WHERE RUN = {literal(run)} AND SCORE IN ({literal(JUDGE)}, {literal(PAIRWISE)})"


def keep_scores(judge: Judge, run: str, rival: str) -> Iterator[str]:
    """Statements that let SAMPLE_SCORES, which people read, say what this judge says."""
    yield forget_scores(run)
    into = "INSERT INTO SAMPLE_SCORES (RUN, SAMPLE_ID, SCORE, FIELD, VALUE)"
    for field, value in {"": "VALUE", **{name: _field(judge, name) for name in judge.sections}}.items():
        rows = f"SELECT RUN, SAMPLE_ID, {value} AS VALUE FROM ({_verdicts(judge, [run])})"
        yield f"{into} SELECT RUN, SAMPLE_ID, {literal(JUDGE)}, {literal(field)}, VALUE FROM ({rows})"
    if rival:
        rows = pairs(judge, run, rival)
        yield f"{into} SELECT RUN, SAMPLE_ID, {literal(PAIRWISE)}, '', VALUE FROM ({rows})"


def _field(judge: Judge, name: str) -> str:
    return _valued(f"SECTIONS:{name}:verdict::VARCHAR", _values(judge))


def _verdicts(judge: Judge, runs: Sequence[str]) -> str:
    """Once each: two reconcilers at a time may both have asked."""
    named = ", ".join(map(literal, runs))
    return (
        f"SELECT * FROM JUDGEMENTS WHERE JUDGE = {literal(judge.digest)} AND KIND = 'answer' AND PARSED"
        f" AND RUN IN ({named}) {_ONCE}"
    )


def verdicts(judge: Judge, runs: Sequence[str]) -> str:
    """RUN, SAMPLE_ID and VALUE: numbers only."""
    return f"SELECT RUN, SAMPLE_ID, VALUE FROM ({_verdicts(judge, runs)})"


def pairs(judge: Judge, run: str, rival: str) -> str:
    """RUN, SAMPLE_ID, VALUE (the same in both orders, else a tie), whether they were the SAME, and ASKED."""
    rows = (
        f"SELECT * FROM JUDGEMENTS WHERE JUDGE = {literal(judge.digest)} AND RUN = {literal(run)}"
        f" AND OTHER = {literal(rival)} AND PARSED AND KIND = {{}} {_ONCE}"
    )
    first, second = (rows.format(literal(kind)) for kind in PAIR[:2])
    return (
        "SELECT A.RUN AS RUN, A.SAMPLE_ID AS SAMPLE_ID, CASE WHEN A.VALUE = B.VALUE THEN A.VALUE ELSE 0.5 END AS VALUE,"
        " A.VALUE = B.VALUE AS SAME, A.HOW <> 'required' AS ASKED,"
        " (CASE WHEN A.VERDICT = 'first' THEN 1 ELSE 0 END + CASE WHEN B.VERDICT = 'first' THEN 1 ELSE 0 END) AS FIRSTS"
        f" FROM ({first}) A JOIN ({second}) B ON B.SAMPLE_ID = A.SAMPLE_ID"
    )


def consistency(judge: Judge, run: str, rival: str) -> str:
    """Of the pairs that were asked: PAIRS, how many said the SAME in both orders, and how often the FIRST one won."""
    return (
        "SELECT COUNT(*) AS PAIRS, COALESCE(COUNT_IF(SAME), 0) AS SAME, COALESCE(SUM(FIRSTS), 0) AS FIRSTS"
        f" FROM ({pairs(judge, run, rival)}) WHERE ASKED"
    )


def counted(judge: Judge, run: str, rival: str) -> str:
    """By KIND, HOW and OUTCOME: how many samples, and tokens. A question that was put again counts as its best."""
    return (
        "SELECT KIND, HOW, OUTCOME, COUNT(*) AS N, COALESCE(SUM(TOKENS_IN), 0) AS TOKENS_IN,"
        " COALESCE(SUM(TOKENS_OUT), 0) AS TOKENS_OUT FROM (SELECT KIND, HOW, TOKENS_IN, TOKENS_OUT,"
        " CASE WHEN PARSED THEN 'judged' WHEN REPLY IS NULL AND HOW = 'asked' THEN 'refused' ELSE 'unparsed' END"
        f" AS OUTCOME FROM JUDGEMENTS WHERE JUDGE = {literal(judge.digest)} AND"
        f" (RUN = {literal(run)} AND OTHER IN ('', {literal(rival)})"
        f" AND KIND <> 'canary' OR KIND = 'canary' AND OTHER = {literal(f'{run}|{rival}')})"
        " QUALIFY ROW_NUMBER() OVER (PARTITION BY RUN, SAMPLE_ID, KIND, OTHER ORDER BY"
        " CASE WHEN HOW = 'asked' AND REPLY IS NULL THEN 1 ELSE 0 END, AT) = 1) GROUP BY KIND, HOW, OUTCOME"
    )


def parts(run: str) -> str:
    """By FIELD, the MEAN of the sections."""
    return (
        f"SELECT FIELD, AVG(VALUE) AS MEAN FROM SAMPLE_SCORES WHERE RUN = {literal(run)} AND SCORE = {literal(JUDGE)}"
        " AND FIELD <> '' GROUP BY FIELD ORDER BY FIELD"
    )


def estimate(asked: Questions, source: str) -> str:
    """N questions and their CHARACTERS."""
    return f"SELECT COUNT(*) AS N, COALESCE(SUM(LENGTH(PROMPT)), 0) AS CHARACTERS FROM ({source})"


def agreement(asked: Questions) -> str:
    """HUMAN and VERDICT, and of how many gold answers; people's words outside of the scale are left out."""
    known = ", ".join(map(literal, asked.judge.scale))
    return (
        f"SELECT G.HUMAN AS HUMAN, J.VERDICT AS VERDICT, COUNT(*) AS N FROM ({gold(asked)}) G"
        f" JOIN (SELECT * FROM JUDGEMENTS WHERE {_these(asked)} AND PARSED {_ONCE}) J ON J.SAMPLE_ID = G.SAMPLE_ID"
        f" WHERE G.HUMAN IN ({known}) GROUP BY G.HUMAN, J.VERDICT ORDER BY G.HUMAN, J.VERDICT"
    )


def drift(asked: Questions) -> str:
    """N canaries that have a verdict now, and how many FLIPPED since they were first judged."""
    mine = f"JUDGE = {literal(asked.judge.digest)} AND PARSED"
    return (
        "SELECT COUNT(*) AS N, COALESCE(COUNT_IF(C.VERDICT <> K.VERDICT), 0) AS FLIPPED"
        f" FROM (SELECT * FROM JUDGEMENTS WHERE {_these(asked)} AND PARSED {_ONCE}) C"
        f" JOIN (SELECT * FROM JUDGEMENTS WHERE {mine} AND KIND = 'answer' AND HOW = 'asked' {_ONCE}) K"
        " ON K.RUN = C.RUN AND K.SAMPLE_ID = C.SAMPLE_ID"
    )
