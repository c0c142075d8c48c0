# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A matrix that Python writes: the cells of a test, by the rules and in the words of scenarios."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from harness.documents.document import YamlError, document_of
from harness.errors import HarnessError
from harness.matrix.expand import plan
from harness.matrix.schema import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.matrix.choices import Known
    from harness.matrix.expand import Substitution
    from harness.matrix.plan import Plan


def plan_values(
    values: Mapping[str, Any],
    where: str,
    known: Known,
    resolve: Callable[[str], str],
    substitutions: Sequence[Substitution] = (),
) -> Plan:
    """Return the plan of a matrix; a value that is no list stands for a list of one.

    ``values`` are by axis, as a scenario writes them.
    ``where`` says who writes them (``tests/test_x.py:12``), for messages. ``resolve`` and ``substitutions``
    are as for `harness.matrix.expand.plan`. HarnessError with every mistake.
    """
    several = {axis for axis, value in values.items() if isinstance(value, (list, tuple))}
    matrix = {axis: list(value) if axis in several else [value] for axis, value in values.items()}
    try:
        text = json.dumps({"name": "values", "description": where, "matrix": matrix})
    except (TypeError, ValueError) as error:
        raise HarnessError(
            f"{where}: {error}", "write values as a scenario does: texts and numbers"
        ) from None
    try:
        return plan(document_of(text, Scenario, where, context=known), resolve, substitutions)
    except YamlError as error:
        said = [_in_python(problem.message, several) for problem in error.problems]
        raise HarnessError("\n".join(f"{where}: {text}" for text in dict.fromkeys(said))) from None


def _in_python(message: str, several: set[str]) -> str:
    """Return ``kernel: …`` where a scenario's message says ``matrix.kernel[0]: …``."""
    message = re.sub(r"^matrix(?:\.|: )", "", message).replace("unknown key", "unknown axis")
    found = re.match(r"(\w+)\[\d+\]", message)
    return message if found is None or found[1] in several else message.replace(found[0], found[1], 1)
