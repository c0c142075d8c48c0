# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The whole tree of ``harness doctor``, and how it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from harness.artifacts.compiled import uncompiled
from harness.documents.strict import Strict
from harness.errors import ExitCode, HarnessError
from harness.evidence.signatures.signatures import PLACES
from harness.paths import cache_dir
from harness.platforms import kvm
from harness.platforms.device import device_leaf
from harness.platforms.examination import Examined, Means, no_qemu
from harness.platforms.leaf import Leaf, branch, failed, passed
from harness.platforms.registry import platforms
from harness.platforms.sev.second_opinion import second_opinion
from harness.run.doctor import basics
from harness.run.pool import host_capacity
from harness.store.asking import NotMadeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.evidence.signatures.signatures import Signatures
    from harness.platforms.host import Host
    from harness.platforms.platform import Platform
    from harness.run.session import Session

_MARKS = {"pass": "PASS", "fail": "FAIL", "skip": "SKIP"}
_UNNEEDED = "nothing that runs here needs it"


class Examination(Strict):
    """What ``harness doctor --json`` prints."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    platforms: dict[str, tuple[str, ...]] = Field(
        description="by platform: what this host lacks for it, nothing where its guests run"
    )
    leaves: tuple[Leaf, ...]

    @property
    def exit_code(self) -> ExitCode:
        """Return the host's fault where a leaf failed."""
        bad = any(leaf.state == "fail" for leaf in self.leaves)
        return ExitCode.HOST if bad else ExitCode.OK


def examine(session: Session, required: Platform | None, *, launches: bool) -> Examination:
    """Ask this host everything; nothing is fetched, built or changed.

    Questions of hardware that nobody asked for by ``required`` are skipped where they fail and the processor
    offers nothing of the kind: a laptop is no broken server.
    """
    having = means(session, launches=launches)
    leaves = [
        basics.tools(),
        basics.compilers(uncompiled(session.ingredients)),
        basics.mirror(),
        basics.disk(cache_dir(), basics.free_bytes(cache_dir())),
        basics.memory(host_capacity(), unevictable=_for_hardware(session.host, required)),
        basics.container(),
        *tried(session.host, having, required),
    ]
    lacking = {name: platform.lacking(session.host) for name, platform in platforms().items()}
    return Examination(platforms=lacking, leaves=tuple(leaves))


def tried(host: Host, means: Means, required: Platform | None = None) -> Iterator[Leaf]:
    """Return the branches of KVM and of each platform that can be tried, and a second opinion."""
    wanted = _for_hardware(host, required)
    machine = _kvm(host, means)
    yield machine if wanted else unneeded(machine)
    for each in _examined():
        leaf = branch(each.name, each.examine(host, means))
        yield leaf if wanted or each.tier != "hardware" else unneeded(leaf)
    if wanted:
        yield second_opinion()


def _examined() -> list[Examined]:
    return [each for each in platforms().values() if isinstance(each, Examined)]


def _for_hardware(host: Host, required: Platform | None) -> bool:
    """Return whether the host is for guests on hardware: somebody says so, or its processor offers it."""
    said = required is not None and required.tier == "hardware"
    return said or any(each.tier == "hardware" and each.offered(host) for each in _examined())


def unneeded(leaf: Leaf) -> Leaf:
    """Return a leaf whose failures are skipped, for nothing that runs here needs it."""
    below = tuple(map(unneeded, leaf.leaves))
    state = "skip" if leaf.state == "fail" else leaf.state
    said = f"{leaf.said} ({_UNNEEDED})" if leaf.state == "fail" and not below else leaf.said
    return leaf.model_copy(update={"state": state, "said": said, "leaves": below})


def _kvm(host: Host, means: Means) -> Leaf:
    name = "kvm"
    device = device_leaf(host, "kvm", name, "load kvm_amd or kvm_intel; in a container, hand /dev/kvm in")
    if device.state == "fail":
        return device
    if means.qemu is None:
        return no_qemu(name, means)
    if reason := kvm.trouble(means.qemu):
        return failed(name, f"it runs no code: {reason}", "take a host that is no virtual machine")
    return passed(name, "a guest ran")


def means(session: Session, *, launches: bool) -> Means:
    """Return with what platforms can be tried here: the QEMU that is in the cache, or named."""

    def mend_of(line: str) -> str:
        return _mend(session.signatures, line)

    try:
        qemu: Path | None = session.ingredients.qemu
    except NotMadeError:
        return Means(None, "there is no QEMU in the cache", mend_of, launches)
    except HarnessError as error:
        return Means(None, error.what, mend_of, launches)
    return Means(qemu, "", mend_of, launches)


def _mend(signatures: Signatures, line: str) -> str:
    matches = (signatures.match(line, place) for place in PLACES)
    return next((found.signature.says.try_ for found in matches if found is not None), "")


def as_text(examination: Examination) -> str:
    """Return the tree for people: a line each, what mends it below."""
    lines = [line for leaf in examination.leaves for line in _lines(leaf, 0)]
    for name, lacking in examination.platforms.items():
        lines.append(f"platform {name}: {'; '.join(lacking) or 'runs here'}")
    return "\n".join(lines)


def _lines(leaf: Leaf, depth: int) -> Iterator[str]:
    indent = "  " * depth
    said = f": {leaf.said}" if leaf.said else ""
    yield f"[ {_MARKS[leaf.state]} ] {indent}- {leaf.name}{said}"
    if leaf.mend and leaf.state != "pass":
        yield f"         {indent}    → {leaf.mend}"
    for below in leaf.leaves:
        yield from _lines(below, depth + 1)
