# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the machine's apt knows (mirror, proxies, certificates), and a private configuration made of it."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from harness.errors import HarnessError, HostError

MIRROR_SETTING = "HARNESS_DEBIAN_MIRROR"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

_RELEASES = "bullseye|bookworm|trixie|forky|sid|oldoldstable|oldstable|stable|testing|unstable"
_OTHER = "ubuntu"
"""The name by which a mirror has an archive of the same tools with other packages."""
_HELPER = "/usr/lib/apt/apt-helper"
_OS_RELEASE = Path("/etc/os-release")
_TOLD = re.compile(r"""^(ID|PRETTY_NAME)=["']?([^"'\n]*)""", re.MULTILINE)
_DEBIAN_SUITE = re.compile(rf"(?:{_RELEASES})(?:-updates|-backports|-proposed-updates)?")
_NOISE = ("Download Failed", "Some index files failed", "Unable to fetch some")
_OWN = re.compile(
    # Layout and policy of a private root: index formats, and above all the signature checks.
    r"Acquire::(IndexTargets|GzipIndexes|Languages|CompressionTypes|Changelogs|cdrom"
    r"|AllowInsecureRepositories|AllowWeakRepositories|AllowDowngradeToInsecureRepositories)\b",
    re.IGNORECASE,
)


def _ask(argv: list[str]) -> str:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
        )
    except FileNotFoundError as error:
        raise HostError(
            f"{argv[0]} is not installed", "Debian's own tools are needed: apt, dpkg-dev"
        ) from error
    return done.stdout if done.returncode == 0 else ""


def pick_mirror(targets: str) -> str | None:
    """Pick the Debian archive from ``apt-get indextargets`` lines ``URI|release|component|origin|label``.

    Origin and label are apt's unexpanded ``$(…)`` while the machine has no index yet; then the suite's name
    decides, and an archive whose address ends in ``/debian`` goes first. Security archives never count.
    """
    likely: list[str] = []
    for line in targets.splitlines():
        uri, release, component, origin, label = (line.split("|") + [""] * 5)[:5]
        if origin == "Debian" and label == "Debian" and component == "main":
            return uri.rstrip("/")
        known = bool(origin) and not origin.startswith("$(")
        if not known and component == "main" and _DEBIAN_SUITE.fullmatch(release) and "security" not in uri:
            likely.append(uri.rstrip("/"))
    return min(likely, key=lambda uri: not uri.endswith("/debian"), default=None)


def pick_beside(targets: str) -> list[str]:
    """Return where Debian's archive would be on the mirrors that have an Ubuntu's: ``debian`` beside it.

    ``targets`` are lines as those of `pick_mirror`; only those of main count.
    """
    found: dict[str, None] = {}
    for line in targets.splitlines():
        uri, _, component = (line.split("|") + [""] * 3)[:3]
        place, slash, name = uri.rstrip("/").rpartition("/")
        if component == "main" and slash and name == _OTHER:
            found[f"{place}/debian"] = None
    return list(found)


@cache
def _serves(mirror: str) -> bool:
    """Return whether there is a Debian archive, as apt reaches it: by the machine's proxies."""
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        once = [f"-oAcquire::{option}" for option in ("Retries=0", "http::Timeout=5", "https::Timeout=5")]
        release, copy = f"{mirror}/dists/stable/InRelease", Path(folder, "InRelease")
        _ask([_HELPER, *once, "download-file", release, str(copy)])
        return copy.is_file() and b"\nOrigin: Debian\n" in copy.read_bytes()


def find_mirror(os_release: Path = _OS_RELEASE) -> str:
    """Return the mirror's address from the setting, else from the machine's apt configuration.

    An Ubuntu's configuration names no Debian archive; where its mirror has one beside, that is taken.
    """
    mirror = os.environ.get(MIRROR_SETTING, "").rstrip("/") or _configured(os_release)
    if not re.fullmatch(r"[a-z][a-z0-9+]*:[^\s\[\]]+", mirror):
        raise HarnessError(
            f"{mirror!r} is not the address of a Debian mirror",
            f"{MIRROR_SETTING} takes a URI such as http://HOST/debian or file:/srv/debian",
        )
    return mirror


def _configured(os_release: Path) -> str:
    command = ["apt-get", "indextargets", "--format"]
    released = _ask([*command, "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)|$(LABEL)"])
    if found := pick_mirror(released):
        return found  # apt takes half a second to answer once
    known = _ask([*command, "$(REPO_URI)|$(RELEASE)|$(COMPONENT)", "--no-release-info"])
    if found := pick_mirror(known):
        return found
    beside = pick_beside(known)
    if found := next(filter(_serves, beside), None):
        return found
    tried = f", and there is none at {' or '.join(beside)}" if beside else ""
    raise HostError(
        f"this machine's apt configuration names no Debian archive{_system(os_release)}{tried}",
        f"set {MIRROR_SETTING} to the address of a Debian mirror: what comes before /dists/",
    )


def _system(os_release: Path) -> str:
    """Return which system that is, where it is none of Debian's."""
    try:
        told = dict(_TOLD.findall(os_release.read_text(errors="replace")))
    except OSError:
        return ""
    return "" if told.get("ID") == "debian" else f" (it is {told.get('PRETTY_NAME', 'no Debian')})"


def inherited(dump: str) -> list[str]:
    """Keep from ``apt-config dump`` how archives are reached (proxies, certificates, date checks)."""
    lines = [line for line in dump.splitlines() if line.startswith("Acquire::") and not _OWN.match(line)]
    return [line for line in lines if not line.endswith(' "";')]


def machine_settings() -> list[str]:
    """Return the machine's settings for a private root, as lines of apt.conf(5)."""
    lines = inherited(_ask(["apt-config", "dump"]))
    for setting in ("netrc", "netrcparts"):  # passwords of a private mirror
        kind = "d" if setting == "netrcparts" else "f"
        shell = _ask(["apt-config", "shell", "FOUND", f"Dir::Etc::{setting}/{kind}"])
        path = shell.strip().removeprefix("FOUND=").strip("'")
        if path and os.access(path, os.R_OK):
            lines.append(f'Dir::Etc::{setting} "{path}";')
    return lines


def configuration(root: Path, settings: list[str]) -> str:
    """Write apt.conf(5) for a private root: all of it below ``root``, of the system only ``settings``."""
    lines = [
        f'Dir "{root}";',
        f'Dir::State::status "{root}/status";',
        f'Dir::Etc::parts "{root}/etc/apt/apt.conf.d";',
        f'Dir::Etc::main "{root}/etc/apt/none";',
        'APT::Architecture "amd64";',
        'APT::Architectures { "amd64"; };',
        'Acquire::Languages "none";',
        'Acquire::GzipIndexes "false";',
        *settings,
    ]
    if os.geteuid() == 0:
        # apt would drop to _apt for downloads, which may not enter root's cache.
        lines.append('APT::Sandbox::User "root";')
    return "\n".join(lines) + "\n"


def sources(mirror: str, suite: str, keyring: Path) -> str:
    """Write sources.list(5) for one suite, binary and source."""
    options = f"[arch=amd64 signed-by={keyring}]"
    return "".join(f"{kind} {options} {mirror} {suite} main\n" for kind in ("deb", "deb-src"))


def reduce_errors(stderr: str) -> str:
    """Reduce apt's error output to what failed and why, one line each, without repetitions."""
    lines: list[str] = []
    for raw in stderr.splitlines():
        line = re.sub(r"\s*\[IP: [^]]*\]", "", raw).strip()
        match = re.match(r"[EW]: (?:Failed to fetch )?(.+)", line)
        if not match or match[1].startswith(_NOISE):
            continue
        text = re.sub(r"^(\S+)\s\s+", r"\1: ", match[1])
        if text not in lines:
            lines.append(text)
    return "; ".join(lines) or stderr.strip() or "apt gave no reason"
