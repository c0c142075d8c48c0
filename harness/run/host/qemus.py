# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The QEMUs of the axis ``qemu`` that are at hand, and what each of them can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.matrix.choices import QEMUS
from harness.platforms import qemu_answers
from harness.platforms.examination import Means, spec
from harness.platforms.registry import platforms
from harness.store.asking import Asking, NotMadeError

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.ingredients import Ingredients
    from harness.platforms.host import Host
    from harness.platforms.qemu_answers import QemuAnswers


def qemus(ingredients: Ingredients, host: Host) -> dict[str, QemuAnswers | str]:
    """Return by name the traits of each QEMU, or why it is not at hand; nothing is fetched or built."""
    asking = ingredients.with_store(Asking(ingredients.apt.store.root))
    found: dict[str, QemuAnswers | str] = {}
    for name in QEMUS:
        try:
            path: Path = asking.qemu if name == QEMUS[0] else asking.other_qemu(name)
        except NotMadeError:
            found[name] = "not in the cache"
        except HarnessError as error:
            found[name] = error.what
        else:
            found[name] = qemu_answers.ask(path, *_objects(host))
    return found


def _objects(host: Host) -> tuple[str, ...]:
    """Return the confidential objects that platforms give to their machines."""
    plain = spec(Means(None))
    made = (platform.configure(plain, host).confidential for platform in platforms().values())
    return tuple(each.type for each in made if each is not None)
