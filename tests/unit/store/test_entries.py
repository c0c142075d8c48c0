# SPDX-License-Identifier: BSD-2-Clause-Patent
from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.store import file_tree, locks
from harness.store.entries import Store
from harness.store.inputs import JSONValue, digest_inputs
from tests.support.data import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INPUTS = {"version": "1", "patches": ["a", "b"]}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def built() -> list[Path]:
    """Collect the directories that the builder was called with."""
    return []


@pytest.fixture
def build(built: list[Path]) -> Callable[[Path], None]:
    def builder(directory: Path) -> None:
        built.append(directory)
        (directory / "sub").mkdir()
        (directory / "sub/file").write_text("text")
        (directory / "link").symlink_to("sub/file")

    return builder


def visible(store: Store) -> list[str]:
    """Every directory of the store that is an entry or a leftover."""
    return sorted(path.name for path in store.root.glob("*/*") if path.is_dir())


def test_built_once(store: Store, build: Callable[[Path], None], built: list[Path]) -> None:
    first = store.get("ovmf", "safe", INPUTS, build)
    assert store.get("ovmf", "safe", dict(reversed(INPUTS.items())), build) == first
    assert len(built) == 1
    assert first.key == digest_inputs("ovmf", INPUTS)
    assert first.path == store.root / "ovmf" / f"safe-{first.key[:16]}"
    assert (first.path / "link").read_text() == "text"
    assert first.path.stat().st_mode & 0o777 == 0o755
    assert visible(store) == [first.path.name]


def test_provenance(store: Store, build: Callable[[Path], None]) -> None:
    artifact = store.get("ovmf", "safe", INPUTS, build, tools=("tar", "no-such-program"))
    provenance = json.loads((artifact.path / "provenance.json").read_text())
    assert provenance == artifact.provenance
    assert store.get("ovmf", "safe", INPUTS, build).provenance == provenance
    assert provenance["inputs"] == INPUTS
    assert provenance["files"]["link"] == {"link": "sub/file"}
    digest = file_tree.digest_file(artifact.path / "sub/file")
    assert provenance["files"]["sub/file"] == {"sha256": digest, "size": 4}
    assert "tar" in provenance["host"]["tools"]["tar"]
    assert provenance["host"]["tools"]["no-such-program"] == "unknown"
    assert {"harness", "built_at", "duration_s"} <= set(provenance)


def test_keys() -> None:
    assert digest_inputs("a", {"x": 1, "y": [1, 2]}) == digest_inputs("a", {"y": (1, 2), "x": 1})
    assert digest_inputs("a", MappingProxyType({"x": 1})) == digest_inputs("a", {"x": 1})
    keys = {digest_inputs(kind, {"x": x}) for kind in "ab" for x in (1, "1", True, None)}
    assert len(keys) == 8
    with pytest.raises(TypeError, match="not a JSON value"):
        digest_inputs("a", {"x": Path("p")})  # type: ignore[dict-item]  # that is the mistake
    with pytest.raises(ValueError, match="JSON compliant"):
        digest_inputs("a", {"x": float("nan")})


def test_names_stay_inside_and_suit_qemu(store: Store, build: Callable[[Path], None]) -> None:
    artifact = store.get("deb", "qemu_1:10.0,x/../y", INPUTS, build)
    assert artifact.path.parent == store.root / "deb"
    assert not set(":,/") & set(artifact.path.name)
    for name in ("", "..", ".hidden"):
        with pytest.raises(ValueError, match="cannot name"):
            store.get("deb", name, INPUTS, build)


def test_files_are_read_only(store: Store, build: Callable[[Path], None]) -> None:
    path = store.get("ovmf", "safe", INPUTS, build).path
    assert not any(file.stat().st_mode & 0o222 for file in (path / "sub/file", path / "provenance.json"))


@pytest.mark.parametrize("mode", [0o755, 0o775, 0o777, 0o700])
def test_who_may_write_to_the_store_may_take_its_entries_and_locks(
    tmp_path: Path, build: Callable[[Path], None], mode: int
) -> None:
    (tmp_path / "kind").mkdir()
    (tmp_path / "kind").chmod(mode)
    entry = Store(tmp_path).get("kind", "name", {}, build).path
    assert entry.stat().st_mode & 0o777 == 0o755 | mode
    assert entry.with_name(f".{entry.name}.lock").stat().st_mode & 0o777 == mode & 0o666


def test_nobody_meets_a_lock_that_is_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's process may look between any two steps of the one that makes it."""
    path, modes = tmp_path / ".x.lock", set[int]()
    tmp_path.chmod(0o775)

    def looking(step: Callable[..., object]) -> Callable[..., object]:
        def look(*arguments: object, **options: object) -> object:
            for done in (False, True):
                found = step(*arguments, **options) if done else None
                modes.update(it.stat().st_mode & 0o777 for it in [path] if it.exists())
            return found

        return look

    for name in ("open", "fchmod", "link", "close"):
        monkeypatch.setattr(os, name, looking(getattr(os, name)))
    with locks.held_now(path) as held:
        assert held
    assert modes == {0o664}
    assert [it.name for it in tmp_path.iterdir()] == [path.name]


def overwrite(path: Path, text: str) -> None:
    path.chmod(0o644)
    path.write_text(text)
    path.chmod(0o444)


@pytest.mark.parametrize(
    "damage", ["same size", "truncated", "removed", "extra", "link", "provenance", "no json"]
)
def test_damage_is_noticed_and_repaired(
    store: Store, build: Callable[[Path], None], built: list[Path], damage: str
) -> None:
    path = store.get("ovmf", "safe", INPUTS, build).path
    match damage:
        case "same size":
            overwrite(path / "sub/file", "TEXT")
        case "truncated":
            overwrite(path / "sub/file", "")
        case "removed":
            (path / "sub/file").unlink()
        case "extra":
            (path / "sub/more").touch()
        case "link":
            (path / "link").unlink()
            (path / "link").symlink_to("elsewhere")
        case "provenance":
            text = (path / "provenance.json").read_text()
            overwrite(path / "provenance.json", text.replace('"duration_s"', '"duration_x"'))
        case "no json":
            overwrite(path / "provenance.json", "{")
    said: list[str] = []
    again = store.get("ovmf", "safe", INPUTS, build, said.append)
    assert (again.path / "link").read_text() == "text"
    assert sorted(entry.name for entry in again.path.rglob("*")) == ["file", "link", "provenance.json", "sub"]
    assert "duration_s" in (path / "provenance.json").read_text()
    assert len(built) == 2
    assert len(said) == 1
    assert str(path) in said[0]


def test_touched_or_copied_files_are_read_and_kept(
    store: Store, build: Callable[[Path], None], built: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.get("ovmf", "safe", INPUTS, build).path
    os.utime(path / "sub/file", (1, 1))
    store.get("ovmf", "safe", INPUTS, build)
    next(path.parent.glob(".*.seal")).unlink()
    store.get("ovmf", "safe", INPUTS, build)
    assert len(built) == 1

    def must_not_read(*_: object) -> str:
        raise AssertionError("a warm get reads no file")

    monkeypatch.setattr(file_tree, "digest_file", must_not_read)
    monkeypatch.setattr(file_tree, "digest_tree", must_not_read)
    store.get("ovmf", "safe", INPUTS, build)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError, HarnessError])
def test_failed_build_leaves_nothing(
    store: Store, build: Callable[[Path], None], error: type[BaseException]
) -> None:
    def fail(directory: Path) -> None:
        build(directory)
        (directory / "sub").chmod(0o500)
        raise error("stopped")

    with pytest.raises(error, match="stopped"):
        store.get("ovmf", "safe", INPUTS, fail)
    assert visible(store) == []
    assert store.find("ovmf", "safe", INPUTS) is None
    assert store.get("ovmf", "safe", INPUTS, build).path.is_dir()


def test_special_files_are_refused(store: Store) -> None:
    with pytest.raises(HarnessError, match="pipe is neither"):
        store.get("ovmf", "safe", INPUTS, lambda directory: os.mkfifo(directory / "pipe"))
    assert visible(store) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_reported_by_the_system(store: Store, number: int) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").write_text("x")
        raise OSError(number, os.strerror(number))

    with pytest.raises(HarnessError, match=r"no space left for .*store.*: [0-9.]+ MiB free"):
        store.get("ovmf", "safe", INPUTS, fail)
    assert visible(store) == []


def test_full_disk_before_the_build(
    store: Store, build: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.mkdtemp", fail)
    with pytest.raises(HarnessError, match="no space left for"):
        store.get("ovmf", "safe", INPUTS, build)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(argv, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount the small disk")
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.faults
def test_full_disk_for_real(small_disk: Path, build: Callable[[Path], None]) -> None:
    store = Store(small_disk / "store")

    def write(directory: Path) -> None:
        (directory / "big").write_bytes(bytes(16 << 20))

    def program(directory: Path) -> None:
        argv = ["dd", "if=/dev/zero", f"of={directory}/big", "bs=1M", "count=16"]
        if subprocess.run(argv, check=False, capture_output=True).returncode:
            raise HarnessError("dd failed")

    for fill in (write, program):
        with pytest.raises(HarnessError, match=f"no space left for {store.root}.*MiB free"):
            store.get("ovmf", "safe", INPUTS, fill)
        assert visible(store) == []
    assert store.get("ovmf", "safe", INPUTS, build).path.is_dir()


def test_cache_that_cannot_be_written(tmp_path: Path, build: Callable[[Path], None]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HarnessError, match=r"cannot write below .*\n.*HARNESS_CACHE"):
        Store(tmp_path / "file").get("ovmf", "safe", INPUTS, build)


OTHER = """
import sys, time
from pathlib import Path
from harness.store.entries import Store
def build(directory):
    (directory / "half").write_text("x")
    print("building", flush=True)
    for _ in range(int(float(sys.argv[2]) * 100)):
        if Path(sys.argv[1], "go").exists():
            break
        time.sleep(0.01)
    (directory / "half").rename(directory / "whole")
print(Store(Path(sys.argv[1])).get("ovmf", "safe", {"n": int(sys.argv[3])}, build).path, flush=True)
"""


def start_other(store: Store, seconds: float, number: int = 1) -> subprocess.Popen[str]:
    """Start a process that builds for some seconds, or until there is a file ``go`` in the store."""
    return subprocess.Popen(
        [sys.executable, "-c", OTHER, str(store.root), str(seconds), str(number)],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_second_process_waits_and_says_so(store: Store) -> None:
    with start_other(store, 60.0) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "building\n"
        with start_other(store, 0.0) as second:
            assert second.stderr is not None
            assert second.stderr.readline() == f"waiting for process {first.pid} to finish ovmf safe\n"
            (store.root / "go").touch()
            output, said = second.communicate(timeout=60)
        assert said == ""
        path = Path(output.strip())  # one line: it has built nothing itself
        assert (path / "whole").is_file()
        assert first.stdout.read().strip() == str(path)
    assert visible(store) == [path.name]


def test_short_wait_is_silent(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 60.0)  # the other process takes its time on a busy machine
    with start_other(store, 0.3) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "building\n"
        said: list[str] = []
        store.get("ovmf", "safe", {"n": 1}, lambda _: pytest.fail("built twice"), said.append)
    assert said == []


@pytest.mark.faults
@pytest.mark.parametrize("number", [1, 2])
def test_killed_build_is_swept(store: Store, number: int) -> None:
    """The next builder removes the leftover, of the same entry (1) and of another one of the kind (2)."""
    with start_other(store, 60.0) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "building\n"
        (leftover,) = visible(store)
        assert leftover.startswith(".tmp-")
        first.send_signal(signal.SIGKILL)
    assert visible(store) == [leftover]
    with start_other(store, 0.0, number) as second:
        output, said = second.communicate(timeout=30)
    assert (said, output.splitlines()[0]) == ("", "building")
    assert visible(store) == [Path(output.splitlines()[1]).name]


def test_live_build_is_not_swept(store: Store) -> None:
    with start_other(store, 60.0) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "building\n"
        with start_other(store, 0.0, 2) as second:
            assert second.wait(timeout=60) == 0
        (store.root / "go").touch()
        assert first.wait(timeout=60) == 0
    assert len(visible(store)) == 2


def test_explain(store: Store, build: Callable[[Path], None]) -> None:
    assert store.explain("ovmf", "safe", INPUTS) == "ovmf safe: never made before"
    store.get("ovmf", "safe", {"version": "0"}, build)
    store.get("ovmf", "safe-2", {"version": "7"}, build)
    path = store.get("ovmf", "safe", INPUTS, build).path
    assert store.explain("ovmf", "safe", INPUTS) == f"ovmf safe: up to date ({path})"
    changed: dict[str, JSONValue] = {"version": "1", "patches": ["a", "c", "d"], "config": {"x": True}}
    lines = store.explain("ovmf", "safe", changed).splitlines()
    assert lines[0].startswith("ovmf safe: inputs changed since 2")
    assert lines[1:] == [
        "  config: {'x': True} was added",
        "  patches.1: 'b' -> 'c'",
        "  patches.2: 'd' was added",
    ]
    first = store.explain("ovmf", "safe", {**INPUTS, "patches": ["0", "a", "b"]})
    assert first.splitlines()[1:] == ["  patches.0: '0' was added"]  # not that all others moved
    assert store.explain("ovmf", "safe", {"version": "1"}).endswith("\n  patches: ['a', 'b'] was removed")
    overwrite(path / "sub/file", "TEXT")
    assert store.explain("ovmf", "safe", INPUTS).startswith("ovmf safe: damaged")
