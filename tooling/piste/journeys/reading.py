"""What git asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from piste import repository
from piste.choosing import decided
from piste.environment import Settings
from piste.errors import InvalidInput, PisteError
from piste.experiment import Experiment, Variant
from piste.repository import Repository
from piste.run import Run
from piste.variants import all_variants, for_trying


@dataclass(frozen=True)
class Desired:
    """What the working tree asks for. `settings_root` is where the settings are from, and the runtimes' locks."""

    root: Path
    settings_root: Path
    settings: Settings
    experiments: tuple[Experiment, ...]
    variants: tuple[Variant, ...]
    reports: Mapping[str, bytes]

    def experiment(self, name: str) -> Experiment:
        return next(one for one in self.experiments if one.name == name)

    def decided(self, runs: Iterable[Run], retry: Collection[str] = ()) -> Desired:
        """With the winners of its matrices, as far as these runs have judged them."""
        return replace(self, variants=decided(self.experiments, self.variants, runs, retry))

    def trying(self, names: Collection[str] = ()) -> Desired:
        """With these experiments (all without a name) on the split that what is not merged yet is scored on too."""
        known = {variant.label for variant in self.variants}
        more = (variant for variant in for_trying(self.experiments, names) if variant.label not in known)
        return replace(self, variants=(*self.variants, *more))

    def only(self, names: Collection[str]) -> tuple[Variant, ...]:
        """The variants of these experiments (or experiment/variant); all of them without a name."""
        chosen = tuple(v for v in self.variants if not names or v.experiment in names or v.title in names)
        known = {v.experiment for v in self.variants} | {v.title for v in self.variants}
        for name in names:
            if name not in known:
                raise PisteError(
                    f"There is no experiment {name!r}.", f"There are: {', '.join(sorted(known)) or 'none'}."
                )
        return chosen


def validate(root: Path, settings_root: Path | None = None) -> Repository:
    return repository.read(root, settings_root)


def read(root: Path, tolerant: bool = False, settings_root: Path | None = None) -> Desired:
    """What git asks for. `tolerant` passes over experiments with errors: to look at runs, or to end one.

    `settings_root` is a repository whose settings count in place of the root's own.

    Raises:
        InvalidInput: any file of any experiment has an error.
    """
    found = validate(root, settings_root)
    errors = [problem for problem in found.problems if problem.severity == "error"]
    if errors and not tolerant:
        raise InvalidInput(errors)
    variants = all_variants(found.experiments)
    return Desired(root, settings_root or root, found.settings, found.experiments, variants, found.reports)
