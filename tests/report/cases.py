"""Repositories with runs, as a report would find them. The numbers are made up; the shapes are those of real runs."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from piste.choosing import decided
from piste.experiment import Digests, Experiment, Suite, Variant
from piste.measures import seeds_key
from piste.report.files import render
from piste.run import Failure, Run, Status
from piste.variants import all_variants

CREDITS = {"CPU_X64_S": 0.11}
BOOTSTRAP = "bootstrap (expanded percentile, 9,999 resamples)"
URL = "https://github.com/example/training"
FIELDS = ("S.complaint", "S.duration", "O.temperature", "A.diagnosis", "P.medication")
SUITE: dict[str, Any] = {
    "schema": "suite/v1",
    "title": "SOAP notes as JSON",
    "data": {"sql": "SELECT ID, DIALOGUE, NOTE FROM SOAP_NOTES WHERE SPLIT = 'test'", "key": "ID"},
    "prompt": {"system": "Write the note as JSON.", "user": "{DIALOGUE}"},
    "generate": {"max_new_tokens": 160, "temperature": 0, "batch_size": 10},
    "reference": "{NOTE}",
    "scores": [{"name": "json_valid"}, {"name": "json_fields", "fields": list(FIELDS)}, {"name": "rouge_l"}],
    "primary": "json_fields",
}
RECIPE: dict[str, Any] = {
    "type": "sft",
    "model": {"name_or_path": "./inputs/base-model", "peft_config": {"peft_type": "LORA", "r": 16}},
    "data": {"sources": [{"type": "snowflake_messages", "table_name": "SOAP_NOTES", "key": "ID"}]},
    "optimizer": {"learning_rate": 0.001},
    "epochs": 1,
}
ENVIRONMENT: dict[str, Any] = {
    "python": "3.11.7",
    "platform": "Linux-6.1-x86_64",
    "cuda": None,
    "gpu": [],
    "cpus": 2,
    "packages": {
        "torch": "2.13.0+cpu",
        "transformers": "5.1.0",
        "peft": "0.19.0",
        "deepspeed": "0.19.2",
        "arctic_training": "0.8.0",
        "snowflake-ml-python": "2.6.0",
        "some-other-package": "1.0",
    },
}
PROVENANCE = {
    "actor": "@ana",
    "commit": "3f2c9d1aa0b4c8f6e1d2a3b4c5d6e7f809182736",
    "branch": "main",
    "dirty": False,
    "pool": "PISTE_CPU",
    "family": "CPU_X64_S",
    "runtime": "cpu-2026.11",
}


@dataclass(frozen=True)
class Case:
    experiments: Sequence[Experiment]
    runs: Sequence[Run]

    @property
    def variants(self) -> tuple[Variant, ...]:
        return decided(self.experiments, all_variants(self.experiments), self.runs)

    def render(self) -> dict[str, bytes]:
        return render(self.experiments, self.variants, self.runs, CREDITS, URL)


def experiment(name: str, train: Mapping[str, Any] | None = None, **document: Any) -> Experiment:
    """A LoRA experiment, or with `train={}` its baseline."""
    base: dict[str, Any] = {"inputs": {"base-model": "@MODELS/smollm2-135m-instruct"}}
    trains = train is None or train
    full = base | {"recipe": "recipe.yaml", "runtime": "cpu-2026.11", "gpus": 1, "nodes": 1} if trains else base
    made = {
        "schema": "experiment/v1",
        "title": f"SOAP notes, {name}",
        "question": "Does LoRA teach a small model the note format and the facts?",
        "owner": "@ana",
        "train": full | dict(train or {}),
        "evaluate": {"suite": "soap-notes"},
        "compute": {"pool": "cpu", "timeout": "2h"},
    }
    recipe = copy.deepcopy(RECIPE) if trains else None
    return Experiment(name, made | document, recipe, Suite("soap-notes", copy.deepcopy(SUITE)))


def scores(quality: float, n: int = 50) -> dict[str, Any]:
    per_field = {field: min(1.0, round(quality * (1.02 - 0.01 * place), 6)) for place, field in enumerate(FIELDS)}
    return {
        "json_valid": {"mean": 1.0 if quality else 0.0, "n": n},
        "json_fields": {"mean": quality, "n": n, "per_field": per_field},
        "rouge_l": {"mean": round(0.08 + 0.9 * quality, 6), "n": n},
    }


def training(steps: int = 20, final: float = 0.1) -> dict[str, Any]:
    loss = [[step, final + 2.3 * 0.8**step + 0.013 * (step % 3)] for step in range(1, steps + 1)]
    return {
        "status": "done",
        "steps": steps,
        "loss": loss,
        "eval_loss": [[steps // 2, 0.61234567], [steps, final + 0.05]],
        "seconds": 164.2,
        "tokens_per_second": 192.0,
        "tokens": 31526,
        "final_line": True,
        "checkpoint": {"kind": "adapter", "bytes": 9_000_000, "files": 4},
    }


def run(of: Variant, quality: float | None = 0.964, **changes: Any) -> Run:
    """A run that did everything; `quality` None stands for one without scores."""
    evaluation = {"status": "done", "samples": 50, "generated": True, "seconds": 46.04, "tokens": 5000}
    evaluation |= {"answers": {"empty": 1, "cut_off": 0 if (quality or 0.0) > 0.5 else 37}}
    evaluated = None if quality is None else evaluation | {"scores": scores(quality)}
    name = f"RUN_{of.digests.training[:12].upper()}_1"
    made = Run(
        name=name,
        experiment=of.experiment,
        variant=of.name,
        digests=of.digests,
        attempt=1,
        steps=("train", "generate", "score") if of.trains else ("generate", "score"),
        training=Status.DONE if of.trains else None,
        evaluation=Status.DONE,
        spec=of.spec,
        provenance=PROVENANCE,
        job=f"{name}_{of.experiment.upper().replace('-', '_')}_A1B2C3",
        results={
            "schema": "results/v1",
            "run": name,
            "training": training() if of.trains else None,
            "evaluation": evaluated,
            "environment": ENVIRONMENT,
            "failure": None,
        },
        measured={} if quality is None else measured(scores(quality)),
        claimed_at="2026-11-20T10:00:00.000+00:00",
        started_at="2026-11-20T10:01:00.000+00:00",
        ended_at="2026-11-20T10:05:40.500+00:00",
    )
    return replace(made, **changes)


def evaluation_only(of: Variant, quality: float | None, **changes: Any) -> Run:
    name = f"RUN_{of.digests.training[:12].upper()}_{of.digests.suite[:12].upper()}_1"
    made = run(of, quality, name=name, training=None, steps=("generate", "score"))
    results = {**(made.results or {}), "training": None}
    later = {"started_at": "2026-11-21T09:00:00.000+00:00", "ended_at": "2026-11-21T09:00:50.000+00:00"}
    return replace(made, **({"results": results} | later | changes))


def compared(this: Run, other: Run) -> Run:
    """With a comparison as `collect` records it; its interval is made up, of a plausible width."""
    mine, theirs = this.results["evaluation"]["scores"], other.results["evaluation"]["scores"]  # type: ignore[index]
    body = {
        "experiment": other.experiment,
        "variant": other.variant,
        "run": other.name,
        "scores": {name: _difference(mine[name]["mean"], theirs[name]["mean"]) for name in mine},
    }
    return replace(this, comparisons={**this.comparisons, other.name: body})


def _difference(a: float, b: float) -> dict[str, Any]:
    """As `statistics.compare` tells it."""
    if (a, b) == (1.0, 0.0):
        found = {"low": 0.897096, "high": 1.0, "method": "Agresti-Min for paired proportions", "test": "McNemar, exact"}
        found |= {"p_value": 1.8e-15, "equivalence": [0.91, 1.0], "spread": 0.0}
    else:
        ends = {
            "low": a - b - 0.0212345678,
            "high": a - b + 0.0198765432,
            "equivalence": [a - b - 0.017, a - b + 0.016],
        }
        found = ends | {"method": BOOTSTRAP, "test": "paired permutation", "p_value": 0.0002 if a - b > 0.03 else 0.34}
        found |= {"spread": 0.075}
    return {"mean_a": a, "mean_b": b, "difference": a - b, "n": 50, **found}


def measured(made: Mapping[str, Any]) -> dict[str, Any]:
    """Intervals of means of a plausible width, as `collect` records them."""
    return {"version": 1, "scores": {name: _interval(name, score["mean"]) for name, score in made.items()}}


def _interval(name: str, mean: float) -> dict[str, Any]:
    method = "Wilson" if name == "json_valid" else BOOTSTRAP
    ends = {"low": max(0.0, mean - 0.0312345), "high": min(1.0, mean + 0.0287654)}
    return {"mean": mean, "n": 50, "groups": None, "method": method, **ends}


def pooled(runs: Sequence[Run], other: Run) -> list[Run]:
    """As one recipe over its seeds: the first by name tells of all of them."""
    key = seeds_key(runs, [other])
    means = [run.results["evaluation"]["scores"]["json_fields"]["mean"] for run in runs]  # type: ignore[index]
    theirs = other.results["evaluation"]["scores"]["json_fields"]["mean"]  # type: ignore[index]
    found = _difference(sum(means) / len(means), theirs) | {"seeds": [len(runs), 1], "test": "t over seeds and samples"}
    first, *rest = sorted(runs, key=lambda run: run.name)
    body = {"other": key, "version": 1, "scores": {"json_fields": found}}
    return [replace(first, pooled={key: body}), *rest]


def other_suite(digests: Digests) -> Digests:
    return replace(digests, suite="e" * 64, scoring="d" * 64)


def pair() -> Case:
    """LoRA against the base model: the report that the demo ends with."""
    base = experiment("soap-smollm2-base", {}, question="What does the model know of it without training?")
    lora = experiment(
        "soap-smollm2-lora", compare="soap-smollm2-base", conclusion="LoRA learns both | the format first."
    )
    of_base, of_lora = all_variants([base, lora])
    ran_base = run(of_base, 0.0)
    return Case([base, lora], [ran_base, compared(run(of_lora), ran_base)])


def matrix() -> Case:
    """Two learning rates with three seeds each, one of them failed and one not run yet; against a baseline."""
    base = experiment("soap-smollm2-base", {})
    rates = {"seeds": [1, 2, 3], "matrix": {"optimizer.learning_rate": [0.001, 0.0003]}}
    swept = experiment("soap-smollm2-rates", rates, compare="soap-smollm2-base", question="Which learning rate?")
    of_base, *points = all_variants([base, swept])
    ran_base = run(of_base, 0.0)
    found = []
    for place, point in enumerate(points[:5]):
        made = run(point, 0.86 + 0.02 * place if place < 3 else 0.964 + 0.004 * (place - 3))
        result = dict(made.results or {}) | {"training": training(20, 0.05 + 0.03 * place)}
        found.append(compared(replace(made, results=result), ran_base))
    found[1] = killed(points[1])
    return Case(
        [base, swept], [ran_base, *pooled([found[0], found[2]], ran_base), found[1], *pooled(found[3:], ran_base)]
    )


def killed(of: Variant) -> Run:
    made = run(of, None, training=Status.FAILED, evaluation=Status.FAILED)
    failure = Failure("train", "killed", "", "a message that may quote what was read", "a hint")
    return replace(made, results=None, failure=failure, ended_at="2026-11-20T10:02:10.000+00:00")


def failures() -> Case:
    """Each way to end badly, and a report after each."""
    names = ["refused-recipe", "killed", "evaluation-failed", "cancelled", "lost"]
    every = [experiment(name, {"inputs": {"base-model": f"@MODELS/{name}"}}) for name in names]
    recipe, dead, unevaluated, cancelled, lost = all_variants(every)
    failed = Status.FAILED
    refused = Failure("train", "recipe", "ValidationError", "a message", "a hint")
    timeout = Failure("generate", "evaluation", "KeyError", "'column that quotes a row'")
    results = dict(run(recipe).results or {}) | {"training": None, "evaluation": None, "failure": {"exit_code": 1}}
    return Case(
        every,
        [
            run(recipe, training=failed, evaluation=failed, results=results, failure=refused),
            killed(dead),
            run(unevaluated, None, evaluation=failed, failure=timeout),
            run(cancelled, training=Status.CANCELLED, evaluation=Status.CANCELLED, results=None),
            run(lost, training=Status.LOST, evaluation=Status.LOST, results=None, job=None, started_at="", ended_at=""),
        ],
    )


def history() -> Case:
    """Evaluated again by a later run, trained under an earlier version, another suite, and nothing at all."""
    again, changed, fresh = (experiment(name) for name in ("evaluated-again", "changed-since", "never-run"))
    other = replace(
        experiment("other-suite", compare="evaluated-again"),
        suite=Suite("soap-short", SUITE | {"title": "SOAP notes, short", "generate": {"max_new_tokens": 80}}),
    )
    waiting = experiment("waiting", {"gpus": 4}, compare="never-run")
    changed, fresh = replace(changed, recipe=RECIPE | {"epochs": 2}), replace(fresh, recipe=RECIPE | {"epochs": 3})
    of_again, of_changed, _, of_other, of_waiting = all_variants([again, changed, fresh, other, waiting])
    before = run(of_again, None, evaluation=Status.FAILED, failure=Failure("score", "evaluation", "ValueError"))
    older = run(of_changed, 0.91, digests=replace(other_suite(of_changed.digests), training="f" * 64))
    runs = [before, evaluation_only(of_again, 0.971), older, evaluation_only(of_other, 0.95), run(of_waiting, 0.93)]
    return Case([again, changed, fresh, other, waiting], runs)


def splits() -> Case:
    """A matrix chosen on validation, its winner on test; what it is compared with on both."""
    data = SUITE["data"] | {"validation": SUITE["data"]["sql"].replace("'test'", "'validation'")}
    suite = Suite("soap-notes", SUITE | {"data": data})
    rates = {"matrix": {"optimizer.learning_rate": [0.001, 0.0003, 0.01]}}
    swept = experiment("soap-smollm2-rates", rates, compare="soap-smollm2-base", question="Which learning rate?")
    every = [replace(one, suite=suite) for one in (experiment("soap-smollm2-base", {}), swept)]
    on_test, on_validation, *points = all_variants(every)
    base, aside = run(on_test, 0.1), evaluation_only(on_validation, 0.12)
    found = [compared(run(point, quality), aside) for point, quality in zip(points, (0.9, 0.95, 0.7), strict=True)]
    (winner,) = decided(every, points, found)[len(points) :]
    tested = compared(evaluation_only(winner, 0.93), base)
    return Case(every, [base, aside, *found, tested])


def gates() -> Case:
    """Every way to stand to a gate, with waivers; the suite's gates are for all, the better model is the base's."""
    suite_gates = [
        {"score": "json_valid", "at_least": 0.9},
        {"score": "json_fields", "no_worse_than": {"experiment": "gated-base", "margin": 0.05}},
    ]
    own = [
        {"score": "json_fields", "at_least": 0.96},
        {"score": "rouge_l", "better_than": {"experiment": "gated-better"}},
        {"score": "json_fields", "no_worse_than": {"experiment": "gated-fresh", "margin": 0.05}},
        {"score": "rouge_l", "no_worse_than": {"experiment": "gated-elsewhere", "margin": 0.05}},
        {"score": "rouge_l", "at_most": 0.5},
    ]
    waivers = [
        {"gate": "rouge_l better_than gated-better", "owner": "@ana", "until": "2026-12-31", "reason": "One <quarter>."}
    ]

    def gated(name: str, train: Mapping[str, Any] | None = None, **document: Any) -> Experiment:
        made = experiment(name, train, **document)
        return replace(made, suite=Suite("soap-notes", made.suite.document | {"gates": suite_gates}))

    base = gated("gated-base", {})
    lora = gated("gated-lora", compare="gated-base", gates=own, waivers=waivers)
    better, fresh = (
        gated(name, {"inputs": {"base-model": f"@MODELS/{name}"}}) for name in ("gated-better", "gated-fresh")
    )
    elsewhere = replace(
        gated("gated-elsewhere", {"inputs": {"base-model": "@MODELS/elsewhere"}}),
        suite=Suite("soap-short", SUITE | {"generate": {"max_new_tokens": 80}}),
    )
    of_base, of_lora, of_better, _, of_elsewhere = all_variants([base, lora, better, fresh, elsewhere])
    ran_base, ran_better = run(of_base, 0.5), run(of_better, 0.99)
    ran_better = compared(ran_better, ran_base)
    ran_lora = compared(compared(run(of_lora), ran_base), ran_better)
    return Case([base, lora, better, fresh, elsewhere], [ran_base, ran_lora, ran_better, run(of_elsewhere, 0.9)])


CASES = {"gates": gates, "pair": pair, "matrix": matrix, "failures": failures, "history": history, "splits": splits}


@cache
def rendered(case: str) -> Mapping[str, bytes]:
    return CASES[case]().render()
