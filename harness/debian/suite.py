# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One Debian suite's private apt root: its configuration, its indexes, and apt's programs run in it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.debian import apt_config
from harness.errors import HostError
from harness.store.entries import disk_full, full_disk_told
from harness.store.locks import held

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.progress import Progress

UPDATE_HINT = "run `harness update` to take the versions of today into the lock file"
_NETWORK_HINT = f"check the network, and the mirror (setting {apt_config.MIRROR_SETTING})"
_TICK = 5.0  # seconds between two lines of progress
SILENCE_SECONDS = 30.0
"""How long a mirror may send no byte."""
_MUTE: set[str] = set()
"""Mirrors that were given up in this process: what else they should give is not waited for again."""


class FetchError(HostError):
    """apt could not fetch something; ``missing`` when the mirror answered that it has no such file."""

    def __init__(self, what: str, hint: str, *, missing: bool) -> None:
        super().__init__(what, hint)
        self.missing = missing


def has_left(error: BaseException | None) -> bool:
    """Return whether an error comes of a package that the archive has no more, or of a file of one."""
    while error is not None:
        if isinstance(error, FetchError) and error.missing:
            return True
        error = error.__cause__
    return False


def _mute(mirror: str, what: str) -> FetchError:
    silence = f"the mirror {mirror} sent no byte for {SILENCE_SECONDS:g} s"
    hint = f"name another one in {apt_config.MIRROR_SETTING}, or mend the network; what is built still boots"
    return FetchError(f"could not fetch {what}: {silence}", hint, missing=False)


class SuiteRoot:
    """The apt root of one suite below ``root``; ``max_age`` in seconds says when its index is old."""

    def __init__(
        self, name: str, root: Path, mirror: str, *, keyring: Path, progress: Progress, max_age: float
    ) -> None:
        self.name = name
        self.mirror = mirror
        self._root = root
        self._keyring = keyring
        self._progress = progress
        self._max_age = max_age
        self._tried = False
        self._failure: FetchError | None = None
        self._prepared = False
        self._indexes: dict[str, Path] = {}

    @property
    def _stamp(self) -> Path:
        return self._root / "updated"

    def _fresh(self) -> bool:
        with contextlib.suppress(OSError):
            return time.time() - self._stamp.stat().st_mtime < self._max_age
        return False

    def _prepare(self) -> None:
        """Write the configuration, once per process: the machine's settings may change between two."""
        if self._prepared:
            return
        if not self._keyring.is_file():
            raise HostError(
                f"the keyring {self._keyring} is missing: Debian's signatures cannot be checked",
                "install the package debian-archive-keyring",
            )
        parts = [f"etc/apt/{part}.d" for part in ("apt.conf", "preferences", "sources.list", "auth.conf")]
        for directory in (*parts, "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
            (self._root / directory).mkdir(parents=True, exist_ok=True)
        for path, text in (
            (self._root / "apt.conf", apt_config.configuration(self._root, apt_config.machine_settings())),
            (self._root / "etc/apt/sources.list", apt_config.sources(self.mirror, self.name, self._keyring)),
            (self._root / "status", ""),
        ):
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                # By a rename: another process's apt may read it at this moment.
                temporary = path.with_name(f"{path.name}.{os.getpid()}")
                temporary.write_text(text, encoding="utf-8")
                temporary.replace(path)
        self._prepared = True

    def refresh(self, *, force: bool) -> None:
        """Fetch the suite's index if it is missing or old; FetchError if that fails (the old one stays)."""
        if self._fresh() and not force:
            return
        asked = time.time()
        lock = self._root.with_name(f".{self._root.name}.lock")
        with full_disk_told(self._root), held(lock, f"the package index of {self.name}", self._progress):
            with contextlib.suppress(OSError):
                if self._stamp.stat().st_mtime >= asked:
                    return  # another process has just done it
            if self._fresh() and not force:
                return
            self._tried = True
            self._prepare()
            self._progress(f"fetching the package index of {self.name}")
            self.run(
                ["apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any"],
                f"the package index of {self.name} from {self.mirror}",
                self._root / "var/lib/apt/lists/partial",
            )
            self._stamp.touch()
            self._indexes.clear()

    def refresh_once(self) -> bool:
        """Refresh an index that lacks something; False if that was tried before, or fails."""
        if self._tried:
            return False
        try:
            self.refresh(force=True)
        except FetchError as error:
            self._progress(error.what)
            return False
        return True

    def index(self, *, source: bool) -> Path:
        """Return the uncompressed Packages or Sources file, fetched when missing or old.

        When it is old and cannot be fetched, the old one is used and the user told.
        """
        error: FetchError | None = None
        if not self._tried:
            try:
                self.refresh(force=False)
            except FetchError as caught:
                error = self._failure = caught
        wanted = "Sources" if source else "Packages"
        path = self._find(wanted)
        if path is None and error is None and self.refresh_once():
            path = self._find(wanted)  # its files were gone, though it was young
        if path is None:
            raise self._failure or HostError(
                f"there is no package index of {self.name} from {self.mirror}", _NETWORK_HINT
            )
        if error:
            self._progress(f"{error.what}; the index of an earlier day is used")
        return path

    def _find(self, wanted: str) -> Path | None:
        if not self._indexes and self._stamp.exists():
            self._prepare()
            argv = ["apt-get", "indextargets", "--format", "$(CREATED_BY)|$(FILENAME)"]
            done = subprocess.run(argv, env=self._environment(), capture_output=True, text=True, check=False)
            pairs = (line.partition("|") for line in done.stdout.splitlines())
            self._indexes = {kind: Path(name) for kind, _, name in pairs if Path(name).is_file()}
        return self._indexes.get(wanted)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "APT_CONFIG": str(self._root / "apt.conf"), "LC_ALL": "C"}

    def ask(self, argv: Sequence[str]) -> str:
        """Return what one of apt's programs says about the index; HarnessError when it fails."""
        self._prepare()
        done = subprocess.run(argv, env=self._environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise HostError(f"{self.name} on {self.mirror}: {apt_config.reduce_errors(done.stderr)}")
        return done.stdout

    def run(self, argv: Sequence[str], what: str, directory: Path, size: int = 0) -> None:
        """Run one of apt's programs in ``directory``, telling from time to time how much that has grown.

        ``size`` is what it will grow to in bytes (0: unknown), ``what`` completes "could not fetch …".
        """
        self._prepare()

        def tick() -> None:
            have = sum(path.stat().st_size for path in directory.iterdir() if path.is_file())
            of = f"of {size / (1 << 20):.0f} MiB" if size else "MiB so far"
            self._progress(f"  {have / (1 << 20):.0f} {of}: {what}")

        if self.mirror in _MUTE:
            raise _mute(self.mirror, what)
        code, stderr = _watched(argv, directory, self._environment(), tick)
        if code == 0:
            return
        if code is None:
            _MUTE.add(self.mirror)
            raise _mute(self.mirror, what)
        if "No space left on device" in stderr:
            raise disk_full(directory)
        missing = " 404 " in stderr or "File not found" in stderr
        hint = f"{_NETWORK_HINT}; {UPDATE_HINT}" if missing else _NETWORK_HINT
        raise FetchError(f"could not fetch {what}: {apt_config.reduce_errors(stderr)}", hint, missing=missing)


def _watched(
    argv: Sequence[str], directory: Path, environment: dict[str, str], tick: Callable[[], None]
) -> tuple[int | None, str]:
    """Run a program to its end; returns its exit status and its standard error.

    The status is None for one that was ended because nothing came for ``SILENCE_SECONDS`` while it waited.
    """
    with subprocess.Popen(
        argv,
        cwd=directory,
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        process_group=0,
    ) as process:
        seen: tuple[object, ...] = ()
        since = time.monotonic()
        try:
            while True:
                try:
                    _, stderr = process.communicate(timeout=_TICK)
                except subprocess.TimeoutExpired:
                    with contextlib.suppress(OSError):  # files come and go meanwhile
                        tick()
                    now = _progress_of(directory, process.pid)
                    if now != seen:
                        seen, since = now, time.monotonic()
                    elif time.monotonic() - since >= SILENCE_SECONDS:
                        os.killpg(process.pid, signal.SIGKILL)
                        return None, process.communicate()[1]
                else:
                    return process.returncode, stderr
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


def _progress_of(directory: Path, group: int) -> tuple[object, ...]:
    """Return what changes while bytes come or apt works: sizes of files, whole seconds of processor time."""
    sizes = []
    with contextlib.suppress(OSError):
        sizes = sorted((path.name, path.stat().st_size) for path in directory.iterdir())
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12]) if int(fields[2]) == group else 0
    return (*sizes, ticks // os.sysconf("SC_CLK_TCK"))
