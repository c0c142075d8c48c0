# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the file of a guest action says of it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.matrix.cell import Cell
from harness.paths import Project
from harness.recipes.action import GuestAction, read_action
from harness.recipes.catalog import load_catalog
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "# SPDX-License-Identifier: BSD-2-Clause-Patent\n# go:ARGUMENT: it goes.\n"


def write(folder: Path, text: str, name: str = "go", guest: str = "initramfs") -> Path:
    path = folder / "guest-images" / guest / "actions" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}{text}echo\n# needs no CONFIG_X\n")
    return path


def read(folder: Path, text: str) -> GuestAction:
    return read_action(write(folder, text), whole_system=False)


def test_an_action_without_facts(tmp_path: Path) -> None:
    assert read(tmp_path, "") == GuestAction("go", str(tmp_path / "guest-images/initramfs/actions/go"))


def test_every_fact(tmp_path: Path) -> None:
    action = read(
        tmp_path,
        "#\n# needs CONFIG_A CONFIG_B\n# cmdline crashkernel=512M quiet\n# followed by kexec-done\n"
        "# samples Unaccepted down to zero\n# logs sysrq triggered crash\n# judged by a-check another\n"
        "# takes 15 seconds\n",
    )
    assert (action.needs, action.cmdline) == (("CONFIG_A", "CONFIG_B"), "crashkernel=512M quiet")
    assert (action.followed_by, action.last, action.ends_by_reset) == ("kexec-done", True, False)
    assert (action.samples, action.drains) == (True, True)
    assert (action.alarm, action.seconds) == ("sysrq triggered crash", 15)
    assert action.judged_by == ("a-check", "another")
    assert GuestAction.from_json(json.loads(json.dumps(asdict(action)))) == action
    reset = read(tmp_path, "#\n# ends by reset\n# samples Unaccepted\n")
    assert (reset.ends_by_reset, reset.last, reset.samples, reset.drains) == (True, True, True, False)
    assert read(tmp_path, "#\n# last\n").last


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#\n# neds CONFIG_A\n", "go:4: 'neds CONFIG_A' is no fact of an action\n  "),
        ("#\n# lst\n", "go:4: 'lst' is no fact of an action\n  did you mean 'last'?"),
        ("#\n# last\n# needs A\n", "go:5: 'needs A' is no fact of an action\n  write it as 'needs CONFIG_"),
        ("#\n# takes long\n", "go:4: 'takes long' is no fact"),
        (
            "# needs CONFIG_A\n",
            "go:3: 'needs CONFIG_A' stands in the description\n  put an empty comment line",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(HarnessError, match=re.escape(said)):
        read(tmp_path, text)


@pytest.mark.parametrize("name", ["cpu-2", "Go", "go.sh"])
def test_a_name_that_no_scenario_could_write(tmp_path: Path, name: str) -> None:
    with pytest.raises(HarnessError, match=f"'{name}' cannot be an action's name\n  name it by lower-case"):
        read_action(write(tmp_path, "", name), whole_system=False)


def catalog(folder: Path) -> object:
    return load_catalog(Project((folder, PROJECT), "own"))


def test_actions_of_ones_own(tmp_path: Path) -> None:
    write(tmp_path, "#\n# last\n# judged by no-alarms\n", "mine")
    write(tmp_path, "", "ours", "debian")
    found = load_catalog(Project((tmp_path, PROJECT), "own"))
    cell = Cell("f", "k", "direct", 2048, "plain", action="touch:4 ours mine")
    assert [action.name for action in found.actions_of(cell)] == ["touch", "ours", "mine"]
    assert found.actions["ours"].whole_system
    assert {"mine", "kexec", "crash", "reboot"} <= found.known().last_action
    assert "touch" not in found.known().last_action


def test_actions_that_clash(tmp_path: Path) -> None:
    write(tmp_path, "#\n# followed by kexec-don\n")
    with pytest.raises(HarnessError, match=r"go: followed by unknown action 'kexec-don'\n  did you mean"):
        catalog(tmp_path)
    write(tmp_path, "")
    write(tmp_path, "", "touch", "debian")
    with pytest.raises(HarnessError, match=r"debian/actions/touch: the action 'touch' is .*initramfs/"):
        catalog(tmp_path)


def test_no_code_knows_an_action_by_name() -> None:
    """All that the harness has to know of an action is in its file."""
    names = "|".join(path.name for path in (PROJECT / "guest-images").glob("*/actions/*"))
    quoted = re.compile(rf"""["']({names})["']""")
    found = [
        f"{path.relative_to(PROJECT)}:{number}: {line.strip()}"
        for room in ("boot", "checks", "evidence", "machine", "matrix", "recipes", "run")
        for path in sorted((PROJECT / "harness" / room).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if quoted.search(line)
    ]
    others = ('"snp"', "recipes/probe_options.py")  # a platform is called so, and an option of the EFI probe
    assert [line for line in found if not any(other in line for other in others)] == []
