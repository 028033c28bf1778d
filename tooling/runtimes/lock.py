"""Print exact pins for packages and all they need, as installed here: `python tooling/runtimes/lock.py NAME...`.

`make lock` writes constraints.txt (everything this repository installs) and the runtimes' locks with it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


def pins(roots: Iterable[str]) -> list[str]:
    """`name==version` for the roots and, through installed metadata, for all that they require; sorted."""
    found: dict[str, str] = {}
    open_requirements = [Requirement(root) for root in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while open_requirements:
        requirement = open_requirements.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = Version(package.version).public
        open_requirements += [
            needed for needed in map(Requirement, package.requires or ()) if _applies(needed, requirement)
        ]
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def _applies(needed: Requirement, by: Requirement) -> bool:
    if needed.marker is None:
        return True
    return any(needed.marker.evaluate({"extra": extra}) for extra in (*by.extras, ""))


if __name__ == "__main__":
    sys.stdout.write("".join(f"{pin}\n" for pin in pins(sys.argv[1:])))
