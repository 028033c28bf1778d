"""In every Python process of a job: what a stage volume refuses is refused below the mounts.

Appends, opening an existing file for update, truncation, renames and links raise OSError, as the real volume does.
"""

import errno
import os
import sys
from pathlib import Path
from typing import Any

_MOUNTS = tuple(m for m in os.environ.get("SNOWGLOBE_MOUNTS", "").split(os.pathsep) if m)
_REFUSED = {"os.rename": (0, 1), "os.link": (1,), "os.symlink": (1,), "os.truncate": (0,)}


def _inside(path: object) -> bool:
    if isinstance(path, int) or path is None:
        return False
    path = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
    return any(path == mount or path.startswith(mount + os.sep) for mount in _MOUNTS)


def _updates(path: str, flags: object) -> bool:
    if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR):
        return False
    if flags & os.O_APPEND:
        return True
    return not flags & os.O_TRUNC and Path(path).exists() and Path(path).stat().st_size > 0


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        if _inside(path) and _updates(path, flags):
            raise OSError(errno.ENOTSUP, "a stage volume takes whole files only: no appends, no random writes", path)
    elif event in _REFUSED:
        inside = [_inside(arguments[index]) for index in _REFUSED[event]]
        if any(inside):
            number = errno.ENOTSUP if all(inside) else errno.EXDEV
            raise OSError(number, f"a stage volume does not support {event[3:]}", arguments[0])


if _MOUNTS:
    sys.addaudithook(_guard)
