# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness``: what pytest does not do."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.artifacts.filelock import say
from harness.artifacts.ingredients import Ingredients
from harness.artifacts.lock import update
from harness.errors import HarnessError
from harness.matrix.expand import plan_table
from harness.paths import PROJECT, cache_dir
from harness.platforms.platform import CHOICES
from harness.session import Options, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

USER_MISTAKE = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; exit code 2 and one message for a user's mistake."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return USER_MISTAKE
    except KeyboardInterrupt:
        print("harness: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="harness", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    plan = commands.add_parser("plan", help="list the boots that scenarios ask for on this host")
    plan.add_argument("files", nargs="*", type=Path, metavar="FILE", help="default: all of scenarios/")
    plan.add_argument("--platform", choices=CHOICES, default="auto")
    plan.set_defaults(run=_plan)

    build = commands.add_parser(
        "build", help="fetch and build all ingredients, so that boots need no waiting"
    )
    build.set_defaults(run=_build)

    renew = commands.add_parser("update", help="lock the newest packages that answer the recipes")
    renew.set_defaults(run=_update)

    why = commands.add_parser("why", help="say whether QEMU would be built anew, and which input changed")
    why.set_defaults(run=_why)

    host = commands.add_parser("host", help="say what this host can do, and where the cache is")
    host.set_defaults(run=_host)
    return parser


def _session(platform: str = "auto") -> Session:
    return Session(Options(platform=platform), Path.cwd(), say)


def _plan(options: argparse.Namespace) -> None:
    session = _session(options.platform)
    files = options.files or sorted((PROJECT / "scenarios").glob("*.yaml"))
    for path in files:
        print(plan_table(session.plan(path)))


def _build(_options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    for name in ingredients.catalog.firmware:
        print(f"firmware {name}: {ingredients.firmware(name).path}")
    for name in ingredients.catalog.kernels:
        print(f"kernel {name}: {ingredients.kernel(name).path}")
    print(f"initramfs: {ingredients.initrd}")
    print(f"qemu: {ingredients.qemu}")


def _update(_options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    changes = update(ingredients.queries(), ingredients.apt, ingredients.lock_file)
    for query, old, new in changes:
        print(f"{query.key}: {old.version if old else 'new'} -> {new.package} {new.version}")
    print(f"{ingredients.lock_file}: {len(changes)} changed")


def _why(_options: argparse.Namespace) -> None:
    print(Ingredients().why_qemu())


def _host(_options: argparse.Namespace) -> None:
    host = _session().host
    print("SEV-SNP guests: " + ("on hardware" if host.sev_snp else f"emulated ({'; '.join(host.why)})"))
    print(f"cache: {cache_dir()}")


if __name__ == "__main__":
    sys.exit(main())
