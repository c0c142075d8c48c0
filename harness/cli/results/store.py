# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands ``harness store export`` and ``harness store import``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.artifacts.ingredients import Ingredients
from harness.artifacts.named import NAMED_FORMS, every, find
from harness.artifacts.wanted import have
from harness.cli.completion import named
from harness.cli.output import add_json
from harness.errors import HarnessError
from harness.results.report.drawing import size_text
from harness.store.asking import NotMadeError
from harness.store.entries import Artifact, Store
from harness.store.file_tree import size_on_disk
from harness.store.moving import Recording, export, take_in
from harness.store.packing import SUFFIX

if TYPE_CHECKING:
    import argparse

_ABOUT_IMPORT = """\
Take the entries of an exported file into the store, each checked against its digests. It holds programs that
boots run, QEMU among them: import only what somebody made whom you trust.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its verbs."""
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    out = verbs.add_parser(
        "export",
        help="write what is made to one file",
        description="Write what is made, and what it is judged by, to one file; nothing is fetched or built.",
    )
    names = out.add_argument(
        "names", nargs="*", metavar=NAMED_FORMS, help="as of `harness build`; none: all that is there"
    )
    names.completer = named  # type: ignore[attr-defined]
    out.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=f"FILE{SUFFIX}")
    add_json(out)
    out.set_defaults(run=_export)
    into = verbs.add_parser("import", help="take the entries of a file in", description=_ABOUT_IMPORT)
    into.add_argument("file", type=Path, metavar="FILE", help="what `harness store export` wrote")
    add_json(into)
    into.set_defaults(run=_import)


def _export(options: argparse.Namespace) -> None:
    ingredients = Ingredients()
    store = Recording(ingredients.apt.store.root)
    recording = ingredients.with_store(store)
    lacks: dict[str, str] = {}
    for it in [find(text, ingredients) for text in options.names] or every(ingredients):
        try:
            have(it, recording)
        except NotMadeError as error:
            lacks[it.name] = str(error).partition("\n")[0]
    if options.names and lacks:
        raise HarnessError(
            f"not made: {', '.join(lacks.values())}", f"`harness build {' '.join(lacks)}` makes it"
        )
    if not store.given:
        raise HarnessError("nothing is made yet", "`harness build` makes everything, or what is named")
    export(store.given.values(), store, options.output)
    _tell(options, [*store.given.values()], f"{options.output}: {size_text(options.output.stat().st_size)}")
    if not options.json:
        for name in lacks:
            print(f"not in it, for it is not made: {name}")


def _import(options: argparse.Namespace) -> None:
    new = take_in(options.file, Store())
    _tell(options, new, f"{len(new)} entries that the store did not have" if new else "the store has it all")


def _tell(options: argparse.Namespace, artifacts: list[Artifact], last: str) -> None:
    if options.json:
        rows: list[dict[str, Any]] = [
            {"kind": it.kind, "name": it.name, "key": it.key, "path": str(it.path)} for it in artifacts
        ]
        print(json.dumps(rows, indent=1))
        return
    for it in artifacts:
        print(f"{it.kind} {it.name}: {size_text(size_on_disk(it.path))}")
    print(last)
