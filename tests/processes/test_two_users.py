# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Two users share a host and a cache: real processes of two numbers, which no passwd file knows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.run.host.leases import leases
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

USERS = (60001, 60002)
ROUNDS = 10
CPUS, MIB, GUESTS = 4, 8192, 2
_USER = f"""\
import json, os, sys, time
from pathlib import Path
from harness.run.host import leases
from harness.run.pool import Demand

user, place, go = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
os.setgroups([])
os.setresgid(user, user, user)
os.setresuid(user, user, user)
leases._POLL = 0.01
(go / str(user)).touch()
while len(list(go.iterdir())) < {len(USERS)}:
    time.sleep(0.01)
for number in range({ROUNDS}):
    cpus = (number % 2 + 1) * 2  # half of the host, and all of it
    wants = Demand(cpus, cpus * 1024, touched=0.5, asids=1)
    with leases.held(wants, f"boot {{number}}", place=place, size=Demand({CPUS}, {MIB}, asids={GUESTS})):
        with leases._locked(place):  # nobody begins meanwhile
            there = list(leases._living(place, remove=False))
        own = next(it for it in there if it.pid == os.getpid())
        has = [it for it in there if not it.waits]
        seen = dict(
            users=sorted({{it.user for it in has}}),
            taken=[sum(it.cpus for it in has), sum(it.mib for it in has), sum(it.guests for it in has)],
            overtaken=[str(it) for it in there if it.waits and it.order < own.order],
        )
        print(json.dumps(seen), flush=True)
        time.sleep(0.03)
"""

_HOLDER = """\
import os, sys
from pathlib import Path
from harness.errors import HostError
from harness.store.locks import held

user, umask, group = (int(word) for word in sys.argv[1:4])
os.setgroups([group])
os.setresgid(user, user, user)
os.setresuid(user, user, user)
os.umask(umask)
try:
    with held(Path(sys.argv[4]), "a thing", print):
        print("held")
except HostError as error:
    print(error)
"""
GROUP = 60010


_REFUSED = (
    "{cache}/store/kind/.thing.lock is user 60001's, and you may not write to it\n"
    "  a group shares a cache whose folder has setgid, and with umask 002: chmod -R g+w it, "
    "or choose another place with HARNESS_CACHE\n"
)


@pytest.mark.parametrize(
    ("umask", "lock", "second"),
    [
        (0o002, "store/kind/.thing.lock", "held\n"),
        (0o022, ".thing.lock", "held\n"),
        (0o077, ".thing.lock", "held\n"),
        (0o022, "store/kind/.thing.lock", _REFUSED),
    ],
)
def test_a_group_shares_the_locks_of_a_cache(tmp_path: Path, umask: int, lock: str, second: str) -> None:
    if os.geteuid():
        pytest.skip("only root can be two users")
    cache = tmp_path / "cache"
    cache.mkdir()
    os.chown(cache, 0, GROUP)
    cache.chmod(0o2775)
    for above in (tmp_path, *tmp_path.parents[:3]):
        above.chmod(above.stat().st_mode | 0o011)

    def hold(user: int) -> str:
        words = [*map(str, (user, umask, GROUP)), str(cache / lock)]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        run = [sys.executable, "-c", _HOLDER, *words]
        return subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout

    assert hold(USERS[0]) == "held\n"
    assert hold(USERS[1]) == second.format(cache=cache)
    assert hold(USERS[0]) == "held\n"


def test_they_take_turns_and_never_more_than_there_is(tmp_path: Path) -> None:
    """Whoever came first begins first, so that neither starves: each looks around when it begins."""
    if os.geteuid():
        pytest.skip("only root can be two users")
    place, go = tmp_path / "leases", tmp_path / "go"
    for folder in (place, go):
        folder.mkdir()
        folder.chmod(0o1777)
    for above in (tmp_path, *tmp_path.parents[:3]):
        above.chmod(above.stat().st_mode | 0o011)
    environment = {name: it for name, it in os.environ.items() if name not in {"USER", "LOGNAME", "LNAME"}}
    environment["PYTHONPATH"] = str(PROJECT)
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", _USER, str(user), str(place), str(go)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for user in USERS
    ]
    seen = []
    try:
        for run in runs:
            said, trouble = run.communicate(timeout=300)
            assert run.returncode == 0, trouble
            found = [json.loads(line) for line in said.splitlines()]
            assert len(found) == ROUNDS
            seen += found
    finally:
        for run in runs:
            run.kill()
            run.communicate()
    assert not [it for it in seen if it["overtaken"]]
    for it in seen:
        assert all(taken <= there for taken, there in zip(it["taken"], (CPUS, MIB, GUESTS), strict=True)), it
    assert {user for it in seen for user in it["users"]} == {str(user) for user in USERS}
    assert leases(place) == []
