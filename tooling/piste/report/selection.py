"""Which run a report is about, which one trained it, and which one it is compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from piste.experiment import Variant, primary_score
from piste.judged import seen_by
from piste.measures import rank_of
from piste.run import Run, Status


class History:
    """Ended runs, found by digests. Names don't matter: an identical variant elsewhere has the same result."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._evaluated: dict[tuple[str, str], list[Run]] = defaultdict(list)
        self._trained: dict[str, list[Run]] = defaultdict(list)
        self._named: dict[str, list[Run]] = defaultdict(list)
        self._looked: dict[str, list[Run]] = defaultdict(list)
        self._answered: dict[tuple[str, str], list[Run]] = defaultdict(list)
        for run in sorted(runs, key=_rank, reverse=True):
            if run.training is Status.DONE:
                self._trained[run.digests.training].append(run)
            if run.evaluation is Status.DONE and "generate" in run.steps:
                self._answered[run.digests.training, run.digests.generation].append(run)
            if ended(run):
                self._evaluated[run.digests.training, run.digests.evaluation].append(run)
                if not run.smoke:
                    self._named[run.experiment].append(run)
                    self._looked[_rows(run)].append(run)

    def of(self, variant: Variant) -> Sequence[Run]:
        """Runs of exactly these digests, best first: evaluated before not, then the latest; as the judge sees them."""
        found = self._evaluated.get((variant.digests.training, variant.digests.evaluation), ())
        return [seen_by(run, variant.digests.judge) for run in found]

    def trainer(self, run: Run) -> Run | None:
        """The run that trained what `run` evaluated, or `run` itself where its own training ended badly."""
        if run.training is not None:
            return run
        trained = self._trained.get(run.digests.training)
        return trained[0] if trained else None

    def looks(self, run: Run) -> int:
        """How many trainings had been scored on the rows of a run when it was, itself among them."""
        by_then = (one for one in self._looked[_rows(run)] if _when(one) <= _when(run))
        return len({one.digests.training for one in by_then if one.evaluation is Status.DONE})

    def answerer(self, run: Run) -> Run | None:
        """The run in which the model gave the answers that `run` scored."""
        if "generate" in run.steps:
            return run
        answered = self._answered.get((run.digests.training, run.digests.generation))
        return answered[0] if answered else None

    def latest(self, experiment: str) -> Run | None:
        """The last ended run under this name, whatever its digests."""
        return max(self._named.get(experiment, ()), key=_when, default=None)


def _rows(run: Run) -> str:
    """The query of the rows that it was scored on."""
    return " ".join(str(((run.spec.get("suite") or {}).get("data") or {}).get("sql") or "").split())


def ended(run: Run) -> bool:
    return not run.live and (run.training is not None or run.evaluation is not None)


def _rank(run: Run) -> tuple[bool, str, int, str]:
    return (run.evaluation is Status.DONE, *_when(run))


def _when(run: Run) -> tuple[str, int, str]:
    return run.claimed_at, run.attempt, run.name


def compare_targets(compare: str, variants: Mapping[str, Sequence[Variant]]) -> Sequence[Variant]:
    """The variants that `compare: NAME` or `compare: NAME/VARIANT` means."""
    experiment, _, name = compare.partition("/")
    found = variants.get(experiment, ())
    return [variant for variant in found if variant.name == name] if name else found


def compared_run(
    run: Run, variant: Variant, targets: Sequence[Variant], history: History
) -> tuple[Variant | None, Run | None, str]:
    """The target and its run that `run` was compared with; otherwise why there is none.

    Of several target variants the best one counts, which favours the comparison and never this run.
    """
    same = [target for target in targets if target.digests.suite == variant.digests.suite]
    if not same:
        return (
            None,
            None,
            "it is evaluated with another suite, so the scores don't compare"
            if targets
            else "there is no such experiment",
        )
    evaluated = [(target, other) for target in same for other in history.of(target) if other.evaluation is Status.DONE]
    if not evaluated:
        return None, None, f"it has no evaluation{f' on {variant.split}' if variant.split else ''} yet"
    compared = [(target, other) for target, other in evaluated if other.name in run.comparisons]
    if not compared:
        return None, None, "the comparison is not computed yet; `piste collect` does it"
    suite = variant.spec["suite"]
    target, other = max(compared, key=lambda pair: rank_of(pair[1], suite, primary_score(suite)))
    return target, other, ""
