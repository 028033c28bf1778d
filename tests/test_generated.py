from __future__ import annotations

import pytest

from piste.generated import FileChange, by_hand, experiment_of, is_generated


@pytest.mark.parametrize(
    ("path", "generated"),
    [
        ("experiments/README.md", True),
        ("experiments/notes/report/README.md", True),
        ("experiments/notes/report/learning_rate=0.001,seed=1/report.json", True),
        ("experiments/notes/README.md", False),
        ("experiments/notes/experiment.yaml", False),
        ("experiments/_suites/report/suite.yaml", False),
        ("experiments/notes/project/report/x.py", False),
        ("docs/experiments/README.md", False),
        ("README.md", False),
    ],
)
def test_which_files_are_generated(path: str, generated: bool) -> None:
    assert is_generated(path) == generated


def test_whose_report_it_is() -> None:
    assert experiment_of("experiments/notes/report/loss.svg") == "notes"
    assert experiment_of("experiments/README.md") == ""


REPORT, YAML = "experiments/notes/report/report.json", "experiments/notes/experiment.yaml"
GONE = [FileChange(REPORT, "a", ""), FileChange(YAML, "b", "")]
MOVED, MOVED_YAML = "experiments/other/report/report.json", "experiments/other/experiment.yaml"


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        pytest.param([FileChange(YAML, "a", "b")], [], id="an experiment changes"),
        pytest.param([FileChange(REPORT, "a", "b")], [REPORT], id="a report is edited"),
        pytest.param([FileChange(REPORT, "", "b")], [REPORT], id="a report is written"),
        pytest.param([FileChange(REPORT, "a", "")], [REPORT], id="a report is removed alone"),
        pytest.param(GONE, [], id="an experiment goes"),
        pytest.param(
            [*GONE, FileChange(MOVED, "", "a"), FileChange(MOVED_YAML, "", "b")],
            [],
            id="an experiment is renamed",
        ),
        pytest.param(
            [*GONE, FileChange(MOVED, "", "c"), FileChange(MOVED_YAML, "", "b")],
            [MOVED],
            id="an experiment is renamed and its report edited",
        ),
        pytest.param(
            [FileChange(REPORT, "a", ""), FileChange(MOVED, "", "a"), FileChange(MOVED_YAML, "", "b")],
            [REPORT, MOVED],
            id="a report is moved to another experiment",
        ),
        pytest.param([FileChange("experiments/README.md", "a", "b")], ["experiments/README.md"], id="the index"),
    ],
)
def test_generated_files_are_left_to_piste(changes: list[FileChange], refused: list[str]) -> None:
    assert [problem.file for problem in by_hand(changes)] == refused


def test_what_to_do_instead_is_said() -> None:
    (edited,) = by_hand([FileChange(REPORT, "a", "b")])
    assert edited.hint.startswith(f"Take the change back:  git checkout origin/main -- {REPORT}")
    (added,) = by_hand([FileChange(REPORT, "", "b")])
    assert added.hint.startswith(f"Leave the file out:  git rm --cached {REPORT}")
