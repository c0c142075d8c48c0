# SPDX-License-Identifier: BSD-2-Clause-Patent
"""``harness doctor``: every state of what a run needs, and of the tree as a whole."""

from __future__ import annotations

import json
import re
import urllib.error
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.compiled import uncompiled
from harness.artifacts.ingredients import Ingredients
from harness.cli import entry
from harness.errors import ExitCode, HostError
from harness.platforms.examination import Means
from harness.platforms.leaf import Leaf, branch, failed, passed
from harness.platforms.registry import platform_named
from harness.platforms.sev import second_opinion, snp_launch
from harness.platforms.sev.snp_launch import Output
from harness.run import session
from harness.run.doctor import basics, tree
from harness.run.doctor.tree import Examination, as_text, tried, unneeded
from harness.run.pool import Demand
from harness.store import entries
from tests.support.data import PROJECT
from tests.support.hosts import GENOA, GENOA_HOST, WITHOUT_DEV_SEV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from harness.platforms.host import Host

LAPTOP = replace(GENOA_HOST, parameters={}, devices=frozenset(), answers=WITHOUT_DEV_SEV.answers, asids=None)
SNPHOST_OK = """\
\x1b[32m[ PASS ]\x1b[0m - AMD CPU
[ PASS ]   - Microcode support
[ PASS ]     - SEV firmware version: 1.55
[ FAIL ]       - (Optional Feature) Secure TSC: bit 9 not set
[ {} ]         - Alias check
[ SKIP ] - Comparing TCB values

ERROR: One or more tests in snphost-ok reported a failure
"""


def test_tools() -> None:
    assert basics.tools(lambda _tool: "/bin/x", PROJECT / "README.md").state == "pass"
    lacking = basics.tools(lambda tool: None if tool in {"gpg", "cpio"} else tool, PROJECT / "absent.gpg")
    assert lacking.state == "fail"
    assert lacking.said == f"missing: gpg, cpio, {PROJECT / 'absent.gpg'}"
    assert lacking.mend == "apt-get install cpio debian-archive-keyring gpg"


def test_a_host_without_apt_takes_the_image() -> None:
    lacking = basics.tools(lambda _tool: None, PROJECT / "README.md")
    assert "missing: apt-get, dpkg-source, " in lacking.said
    assert "contrib/container/Containerfile" in lacking.mend
    assert (PROJECT / "contrib/container/Containerfile").is_file()


def without(*tools: str) -> Callable[[str], object]:
    return lambda tool: None if tool in tools else tool


def test_compilers() -> None:
    assert basics.compilers(("QEMU",), without()).state == "pass"
    needed = basics.compilers(("QEMU", "touch"), without("nasm", "iasl"))
    assert (needed.state, needed.said) == ("fail", "missing: nasm, iasl; to be compiled: QEMU, touch")
    assert "apt-get install acpica-tools nasm" in needed.mend
    assert "pip install ovmf-acceptance-qemu" in needed.mend


def test_a_missing_compiler_is_no_failure_where_all_is_built() -> None:
    built = basics.compilers((), without("gcc", "ninja"))
    assert (built.state, built.mend) == ("skip", "apt-get install gcc ninja-build")
    assert "missing: gcc, ninja; QEMU and the guest's programs are built" in built.said


def test_what_is_to_be_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache that is empty has nothing; a QEMU that is named, or what a package carries, is not compiled."""
    monkeypatch.delenv("HARNESS_QEMU", raising=False)
    programs = sorted(path.stem for path in (PROJECT / "guest-images/initramfs-tools").glob("*.c"))
    assert programs
    assert sorted(uncompiled(Ingredients())) == sorted(["QEMU", *programs])
    monkeypatch.setenv("HARNESS_QEMU", str(tmp_path / "absent"))
    assert sorted(uncompiled(Ingredients())) == programs
    monkeypatch.setattr(entries, "carried", lambda kind, *_: (tmp_path / kind, {"inputs": {}}))
    assert uncompiled(Ingredients()) == ()


def test_the_script_installs_what_the_doctor_asks_for() -> None:
    script = (PROJECT / "run").read_text()
    usual = {"apt", "util-linux", "patch"}  # of every Debian, or with dpkg-dev
    packages = set(
        re.findall(r"^([a-z0-9+.-]+) +\S+$", script.partition("needed='")[2].partition("'")[0], re.MULTILINE)
    )
    assert {*basics.TOOLS.values(), *basics.COMPILERS.values()} - usual <= packages


def _no_mirror() -> str:
    raise HostError("no archive", "name one")


def test_mirror() -> None:
    def ask(trouble: str, settings: Iterable[str] = ()) -> Leaf:
        return basics.mirror(lambda: "http://m/debian", lambda _: trouble, lambda: [*settings])

    assert ask("").state == "pass"
    assert (ask("timed out").state, ask("timed out").said) == (
        "fail",
        "http://m/debian does not answer: timed out",
    )
    assert ask("timed out", ['Acquire::http::Proxy "http://p:3128";']).state == "skip"
    assert ask("timed out", ['Acquire::http::Pipeline "0";']).state == "fail"
    unknown = basics.mirror(_no_mirror)
    assert (unknown.state, unknown.said, unknown.mend) == ("fail", "no archive", "name one")


def test_archives_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dists").mkdir()
    assert basics.reached(f"file:{tmp_path}") == ""
    assert basics.reached(f"file:{tmp_path}/dists") == "there is no folder dists in it"

    def forbidden(*_: object, **__: object) -> object:
        raise urllib.error.HTTPError("x", 403, "Forbidden", {}, BytesIO())  # type: ignore[arg-type]

    monkeypatch.setattr("urllib.request.urlopen", forbidden)
    assert basics.reached("http://m/debian") == ""

    def lost(*_: object, **__: object) -> object:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("urllib.request.urlopen", lost)
    assert basics.reached("http://m/debian") == "no route"


def test_room(tmp_path: Path) -> None:
    assert basics.disk(tmp_path, 11 << 30).state == "pass"
    assert basics.disk(tmp_path, 9 << 30).said == f"9.0 GiB are free for {tmp_path}"
    assert basics.disk(tmp_path, 9 << 30).state == "fail"
    assert basics.free_bytes(tmp_path / "not/yet/there") > 0
    assert basics.memory(Demand(2, 8192)).state == "pass"
    assert basics.memory(Demand(2, 4096)).state == "fail"
    little = basics.memory(Demand(2, 8192), unevictable=True)
    assert little.state == "fail"
    assert "9 GiB are wanted, for a guest of 8 GiB that cannot be paged out" in little.mend
    assert basics.memory(Demand(2, 16384), unevictable=True).state == "pass"


def container(root: Path, files: dict[str, str], *, superuser: bool = False) -> dict[str, Leaf]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {leaf.name: leaf for leaf in basics.container(root, superuser=superuser).leaves}


OWN = {"proc/self/cgroup": "0::/box/inner\n"}
BOX = "sys/fs/cgroup/box"


def test_no_limits(tmp_path: Path) -> None:
    found = container(tmp_path, {})
    unlimited = found.pop("qemu-memory-limit")
    assert (unlimited.state, "Delegate=yes" in unlimited.mend) == ("skip", True)
    assert {leaf.state for leaf in found.values()} == {"pass"}
    files = OWN | {f"{BOX}/memory.max": "max\n", f"{BOX}/pids.max": "4096\n"}
    found = container(tmp_path, files)
    assert (found["memory-limit"].said, found["pids-limit"].said) == ("none", "4096")
    assert [leaf.name for leaf in found.values() if leaf.state != "pass"] == ["qemu-memory-limit"]


def test_a_delegated_cgroup_limits_each_qemu(tmp_path: Path) -> None:
    below = ("cgroup.type", "cgroup.procs", "cgroup.subtree_control")
    files = {f"sys/fs/cgroup/{name}": "" for name in below} | {"proc/self/cgroup": "0::/\n"}
    found = container(tmp_path, files | {"sys/fs/cgroup/cgroup.controllers": "memory\n"})
    limited = found["qemu-memory-limit"]
    assert (limited.state, limited.said) == (
        "pass",
        f"each QEMU has a cgroup of its own in {tmp_path / 'sys/fs/cgroup'}",
    )


@pytest.mark.parametrize(
    ("files", "name", "words"),
    [
        ({f"{BOX}/inner/memory.max": f"{1 << 30}\n"}, "memory-limit", "1024, and 6144 are wanted"),
        ({f"{BOX}/memory.max": f"{1 << 30}\n"}, "memory-limit", "1024, and 6144 are wanted"),
        ({f"{BOX}/pids.max": "100\n"}, "pids-limit", "100, and 256 are wanted"),
        ({"proc/sys/user/max_user_namespaces": "0\n"}, "user-namespaces", "user.max_user_namespaces is 0"),
        ({"proc/sys/kernel/unprivileged_userns_clone": "0"}, "user-namespaces", "userns_clone is 0"),
        ({"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"}, "user-namespaces", "userns is 1"),
    ],
)
def test_limits(tmp_path: Path, files: dict[str, str], name: str, words: str) -> None:
    found = container(tmp_path, OWN | files)
    assert [leaf.name for leaf in found.values() if leaf.state == "fail"] == [name]
    assert words in found[name].said
    assert found[name].mend


def test_root_makes_namespaces_whatever_the_settings_say(tmp_path: Path) -> None:
    files = {"proc/sys/user/max_user_namespaces": "0\n"}
    assert container(tmp_path, files, superuser=True)["user-namespaces"].state == "pass"


def test_a_second_opinion_is_read() -> None:
    good, bad = (second_opinion.read(SNPHOST_OK.replace("{}", state)) for state in ("PASS", "FAIL"))
    assert (good.state, bad.state) == ("pass", "fail")
    assert [leaf.state for leaf in bad.leaves] == ["pass", "pass", "pass", "skip", "fail", "skip"]
    assert (bad.leaves[2].name, bad.leaves[2].said) == ("SEV firmware version", "1.55")
    assert second_opinion.read("error: the parameter is unknown\n").state == "skip"


@pytest.mark.parametrize(
    ("script", "state"), [("echo '[ PASS ] - AMD CPU'", "pass"), ("exit 1", "skip"), ("", "skip")]
)
def test_a_second_opinion_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, state: str
) -> None:
    if script:
        (tmp_path / "snphost").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "snphost").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + ":/bin")
    assert second_opinion.second_opinion().state == state


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snp_launch, "launch", lambda _: Output(("KVM: unknown exit reason 24",), None))
    monkeypatch.setattr(tree, "second_opinion", lambda: passed("snphost", "x"))


@pytest.mark.usefixtures("launches")
def test_a_laptop_is_no_broken_server() -> None:
    found = {leaf.name: leaf for leaf in tried(LAPTOP, Means(None, "no QEMU"))}
    assert {leaf.state for leaf in found.values()} == {"skip"}
    assert "(nothing that runs here needs it)" in found["kvm"].said
    assert "snphost" not in found
    wanted = {leaf.name: leaf for leaf in tried(LAPTOP, Means(None, "no QEMU"), platform_named("snp"))}
    assert (wanted["snp"].state, wanted["kvm"].state) == ("fail", "fail")
    assert wanted["snp-emulated"].state == "skip"
    assert "snphost" in wanted


@pytest.mark.usefixtures("launches")
def test_a_device_that_is_refused_has_a_mend_of_its_own() -> None:
    refused = replace(GENOA_HOST, answers=replace(GENOA, refused={"kvm": "Permission denied"}))
    for host, mend in (
        (refused, "join the group"),
        (replace(GENOA_HOST, devices=frozenset()), "load kvm_amd"),
    ):
        found = {leaf.name: leaf for leaf in tried(host, Means(None, "no QEMU"))}
        assert (found["kvm"].state, mend in found["kvm"].mend) == ("fail", True)


@pytest.mark.usefixtures("launches")
def test_a_server_that_lacks_something_fails_without_being_asked() -> None:
    found = {leaf.name: leaf for leaf in tried(replace(GENOA_HOST, parameters={}), Means(None, "no QEMU"))}
    assert (found["snp"].state, found["kvm"].state) == ("fail", "skip")


def test_what_nothing_needs_is_skipped_and_keeps_its_words() -> None:
    tested = unneeded(branch("t", (failed("a", "x", "y"), passed("b", "z"))))
    assert (tested.state, [leaf.state for leaf in tested.leaves]) == ("skip", ["skip", "pass"])
    assert (tested.leaves[0].said, tested.leaves[0].mend) == ("x (nothing that runs here needs it)", "y")


def test_how_it_looks() -> None:
    leaves = (passed("tools", "all"), branch("limits", (failed("pids-limit", "9", "more"),)))
    shown = as_text(Examination(platforms={"plain": (), "other": ("no a", "no b")}, leaves=leaves))
    assert shown.splitlines() == [
        "[ PASS ] - tools: all",
        "[ FAIL ] - limits",
        "[ FAIL ]   - pids-limit: 9",
        "               → more",
        "platform plain: runs here",
        "platform other: no a; no b",
    ]


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch, stand_ins: Any) -> Any:
    """Let the questions of a run's needs have good answers."""
    for name in ("tools", "compilers", "mirror", "disk", "memory", "container"):
        monkeypatch.setattr(basics, name, lambda *_, name=name, **__: passed(name, "good"))
    monkeypatch.setattr(tree, "uncompiled", lambda _: ())
    monkeypatch.setattr(tree, "means", lambda *_, **__: Means(None, "no QEMU"))
    return stand_ins


def test_the_command(calm: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert entry.main(["doctor", "--no-launch"]) == ExitCode.OK
    assert "[ PASS ] - tools: good" in capsys.readouterr().out
    assert entry.main(["doctor", "--json", "--platform", "snp"]) == ExitCode.HOST
    printed = json.loads(capsys.readouterr().out)
    assert printed["schema"] == 1
    assert printed["platforms"]["snp"] == ["there is no /dev/sev"]
    assert Examination.model_validate(printed).exit_code is ExitCode.HOST
    monkeypatch.setattr(basics, "tools", lambda: failed("tools", "missing: x", "install x"))
    assert entry.main(["doctor", "--no-launch"]) == ExitCode.HOST
    assert calm.built == []


@pytest.mark.parametrize(
    ("words", "host", "unevictable"),
    [((), LAPTOP, False), (("--platform", "snp"), LAPTOP, True), ((), GENOA_HOST, True)],
)
def test_a_host_for_hardware_wants_memory_that_stays(
    calm: Any, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], host: Host, *, unevictable: bool
) -> None:
    asked: list[bool] = []

    def memory(_capacity: Demand, *, unevictable: bool) -> Leaf:
        asked.append(unevictable)
        return passed("memory", "good")

    monkeypatch.setattr(basics, "memory", memory)
    monkeypatch.setattr(session, "survey", lambda **_: host)
    entry.main(["doctor", "--no-launch", *words])
    assert asked == [unevictable]
    assert calm.built == []


def test_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["schema", "doctor"]) == ExitCode.OK
    schema = json.loads(capsys.readouterr().out)
    assert {"schema", "platforms", "leaves"} <= schema["properties"].keys()
