# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a run writes: who ran (``run.json``), and a line for each boot and each check (``results.jsonl``).

Both are JSON, version ``SCHEMA``; ``harness schema results`` prints the JSON Schema. A reader takes files of
this version and refuses newer ones. Times are ISO 8601 in UTC, durations are seconds, digests are SHA-256 in
hex.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter

from harness.documents.strict import Strict

SCHEMA = 1
PROJECT = "ovmf-acceptance"

State = Literal["passed", "failed", "known-bad", "fixed", "cannot-judge", "not-asked", "host-error"]
"""Of a check: ``known-bad`` failed as a rule says, ``fixed`` passes although a rule says that it fails.

``cannot-judge``: the evidence is missing or damaged. ``not-asked``: with the reason. ``host-error``: there is
no answer because of the host.
"""
STATES: tuple[State, ...] = get_args(State)
BAD: frozenset[State] = frozenset({"failed", "fixed", "cannot-judge", "host-error"})
"""States that fail a run."""
RunKind = Literal["scenarios", "replay", "boot", "ab"]
Value = str | int | float | bool | tuple[str | int, ...]


class FindingData(Strict):
    """One thing that is wrong. ``kind`` and ``values`` stay the same when the sentence is worded better."""

    kind: str = Field(description="stable name, such as validated-by-firmware")
    says: str = Field(description="the sentence")
    values: dict[str, Value] = Field(default_factory=dict, description="numbers and names in the sentence")
    evidence: tuple[str, ...] = Field(default=(), description="lines that show it")


class ExpectationData(Strict):
    """What the cell should do, and by what."""

    outcome: str
    because: str
    source: str = Field(description="a link or a file of the project")
    row: str = Field(description="the row of the rollout model, or the scenario's rule")


class KnownBadData(Strict):
    """The rule that says that a check fails."""

    where: str = Field(description="file:line:column")
    reason: str
    link: str = ""


class CheckLine(Strict):
    """One check of one boot, judged for one scenario or test."""

    line: Literal["check"] = "check"
    cell: str = Field(description="the cell's id")
    check: str
    question: str
    scenario: str = Field(description="file:line of the scenario, or the test's node id")
    attempt: Annotated[int, Field(ge=1)] = 1
    platform: str
    tier: str
    expectation: ExpectationData | None = None
    state: State
    reason: str = Field(default="", description="why it is known-bad, not asked, or cannot be judged")
    strength: str = Field(
        default="", description="how much the answer says on this platform, such as upper bound; empty: all"
    )
    known_bad: KnownBadData | None = None
    known_in: str = Field(default="", description="in what that this cell replaces its findings are known")
    findings: tuple[FindingData, ...] = ()
    cause: str = Field(default="", description="the check that tells the cause, when this one repeats it")
    seconds: float = Field(default=0.0, description="time of judging")
    inputs: dict[str, str] = Field(default_factory=dict, description="by ingredient: 16 digits of SHA-256")
    record: str = Field(default="", description="the record's folder, relative to the run's")
    at: str = Field(description="when it was judged")

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what names the question in every run: cell, check, scenario (a file without its line)."""
        return self.cell, self.check, scenario_file(self.scenario)


class PhaseData(Strict):
    """A phase of a boot and when it began, in seconds since QEMU was let run."""

    name: str
    t: float


class BootLine(Strict):
    """One boot. ``measures`` are numbers to compare: pages by who accepted them, exits, seconds by phase."""

    line: Literal["boot"] = "boot"
    cell: str
    axes: dict[str, str] = Field(description="the cell's values by axis, as a scenario writes them")
    attempt: Annotated[int, Field(ge=1)] = 1
    platform: str
    tier: str
    ending: str = Field(description="completed, guest-panic, hang, …; never-started where QEMU refused")
    phase: str
    detail: str = ""
    phases: tuple[PhaseData, ...] = ()
    seconds: float = 0.0
    measures: dict[str, float] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)
    record: str
    at: str
    carried: str = Field(default="", description="the run that booted it, when this one took its record over")


class LackLine(Strict):
    """A cell that did not boot because the host lacks something that the scenario asks for."""

    line: Literal["lack"] = "lack"
    cell: str
    scenario: str
    reason: str
    at: str


class EndLine(Strict):
    """The run is over: how long it took and its exit code. A run without this line goes on or was killed."""

    line: Literal["end"] = "end"
    code: int
    seconds: float
    at: str


Line = Annotated[CheckLine | BootLine | LackLine | EndLine, Field(discriminator="line")]
LINE: TypeAdapter[Line] = TypeAdapter(Line, config=ConfigDict(defer_build=True))


class HostData(Strict):
    """The machine that ran. ``sev`` holds what SEV hardware says of itself; empty elsewhere."""

    name: str
    cpu: str
    cpus: int
    microcode: str = ""
    memory_mib: int
    kernel: str
    distribution: str
    python: str
    sev: dict[str, str] = Field(default_factory=dict)


class RunData(Strict):
    """The file ``run.json``."""

    schema_version: int = Field(alias="schema")
    project: str = Field(description="always ovmf-acceptance; other tools write results.jsonl, too")
    id: str = Field(description="the run folder's name")
    kind: RunKind
    harness: str = Field(description="version")
    commit: str = Field(default="", description="of the checkout, empty for an installed harness")
    dirty: bool = False
    scenarios_commit: str = Field(default="", description="of the project whose scenarios ran")
    command: tuple[str, ...]
    began: str
    host: HostData
    qemu: str = Field(default="", description="version")
    qemu_key: str = Field(default="", description="key of the build in the store, or the program's path")
    files: tuple[str, ...] = Field(default=(), description="scenario files that the command line named")
    selection: str = Field(default="", description="what limited the cells: -k, --cell, options of axes")


def scenario_file(scenario: str) -> str:
    """Return a scenario's file without its line: ``scenarios/a.yaml:12`` → ``scenarios/a.yaml``.

    A test's node id (``x.py::test_it``) is returned as it is.
    """
    if "::" in scenario:
        return scenario
    head, colon, tail = scenario.rpartition(":")
    return head if colon and tail.isdecimal() else scenario
