# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness schema KIND``: the JSON Schema of a kind of file, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.documents.document import DRAFT, json_schema
from harness.evidence.signatures.model import SignatureFile
from harness.matrix.schema import scenario_schema
from harness.progress import say
from harness.recipes.emulation import EmulationFile
from harness.recipes.firmware import FirmwareFile
from harness.recipes.guest import GuestFile
from harness.recipes.kernel import KernelFile
from harness.recipes.loader import LoaderFile
from harness.recipes.probe import ProbeFile
from harness.recipes.project import ProjectFile, find_project
from harness.results.model import LINE, RunData
from harness.results.quarantine import QuarantineFile
from harness.run.doctor.tree import Examination
from harness.run.options import Options
from harness.run.session import Session

if TYPE_CHECKING:
    import argparse

    from pydantic import BaseModel

SCENARIO = "scenario"
FIXED: dict[str, type[BaseModel]] = {
    "project": ProjectFile,
    "firmware": FirmwareFile,
    "kernels": KernelFile,
    "loaders": LoaderFile,
    "guests": GuestFile,
    "probes": ProbeFile,
    "signatures": SignatureFile,
    "emulations": EmulationFile,
    "quarantine": QuarantineFile,
    "run": RunData,
    "doctor": Examination,
}
"""Kinds of files with a fixed schema; that of scenarios has the names of the project's recipes."""
RESULTS = "results"
"""A file of lines, each of which is one of several models."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness schema``."""
    parser.add_argument("kind", choices=(SCENARIO, *FIXED, RESULTS), help="what the file holds")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    if options.kind == SCENARIO:
        made = scenario_schema(Session(Options(), find_project(Path.cwd()), say).known)
    elif options.kind == RESULTS:
        made = {"$schema": DRAFT, **LINE.json_schema()}
    else:
        made = json_schema(FIXED[options.kind])
    print(json.dumps(made, indent=1))
