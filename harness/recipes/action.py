# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guest actions (``guest-images/*/actions/NAME``): what the header of an action's file says of it.

The comment at the beginning of the file says what the action does, then, below an empty comment line, facts
that the harness needs, one a line::

    # crash: load the same kernel as a crash kernel and panic.
    #
    # needs CONFIG_KEXEC_FILE CONFIG_CRASH_DUMP
    # cmdline crashkernel=512M
    # followed by vmcore
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from harness.documents.document import near
from harness.errors import HarnessError
from harness.matrix.cell import ACTION_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class GuestAction:
    """An action, by the facts of its file; ``where`` is the file.

    ``whole_system``: only a Debian can do it. ``needs``: options that the kernel must have built in.
    ``cmdline``: words that the kernel's command line must have for it. ``last``: the kernel that does it is
    gone afterwards. ``followed_by``: the action that the same kernel does next, booted a second time inside
    the guest. ``ends_by_reset``: the guest is reset. ``samples``: it watches meminfo's Unaccepted while it
    uses memory; ``drains``: of which nothing is left then. ``alarm``: what its kernel says with good reason.
    ``judged_by``: checks of the cell that follow from it. ``seconds``: what it takes, roughly.
    """

    name: str
    where: str = ""
    whole_system: bool = False
    needs: tuple[str, ...] = ()
    cmdline: str = ""
    last: bool = False
    followed_by: str = ""
    ends_by_reset: bool = False
    samples: bool = False
    drains: bool = False
    alarm: str = ""
    judged_by: tuple[str, ...] = ()
    seconds: float = 1.5

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the action whose fields were written as JSON; TypeError for another's."""
        lists = {key: tuple(data[key]) for key in ("needs", "judged_by") if key in data}
        return cls(**{**data, **lists})


_FACTS: tuple[tuple[str, str, Callable[[str], Mapping[str, Any]]], ...] = (
    ("needs", r"CONFIG_\w+( CONFIG_\w+)*", lambda text: {"needs": tuple(text.split())}),
    ("cmdline", r"\S.*", lambda text: {"cmdline": text}),
    ("last", "", lambda _: {"last": True}),
    ("followed by", ACTION_NAME, lambda text: {"followed_by": text, "last": True}),
    ("ends by", "reset", lambda _: {"ends_by_reset": True, "last": True}),
    ("samples", "Unaccepted", lambda _: {"samples": True}),
    ("samples", "Unaccepted down to zero", lambda _: {"samples": True, "drains": True}),
    ("logs", r"\S.*", lambda text: {"alarm": text}),
    ("judged by", r"[a-z0-9-]+( [a-z0-9-]+)*", lambda text: {"judged_by": tuple(text.split())}),
    ("takes", r"[0-9]+ seconds?", lambda text: {"seconds": float(text.split()[0])}),
)
"""How a fact begins, the form of the rest, and what it says."""


def read_action(path: Path, *, whole_system: bool) -> GuestAction:
    """Return an action by its file; HarnessError, with the line, for a name or a fact that cannot be."""
    if re.fullmatch(ACTION_NAME, path.name) is None:
        raise HarnessError(
            f"{path}: {path.name!r} cannot be an action's name",
            "name it by lower-case words and hyphens, such as cpu-cycle; each word begins with a letter",
        )
    action = GuestAction(path.name, str(path), whole_system)
    facts = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.startswith("#"):
            break
        text = line.removeprefix("#").strip()
        if not text:
            facts = True
        elif facts:
            action = replace(action, **_fact(text, f"{path}:{number}"))
        elif _begins_as_fact(text):
            raise HarnessError(
                f"{path}:{number}: {text!r} stands in the description",
                "put an empty comment line above the facts",
            )
    return action


def _fact(text: str, where: str) -> Mapping[str, Any]:
    for begin, form, says in _FACTS:
        rest = text.removeprefix(begin)
        if rest != text and re.fullmatch(form, rest.strip()):
            return says(rest.strip())
    forms = {begin: f"{begin} {form}".strip() for begin, form, _ in _FACTS}
    word = next((begin for begin in forms if text.startswith(begin)), None)
    meant = f"write it as {forms[word]!r}" if word else near(text, forms)
    raise HarnessError(f"{where}: {text!r} is no fact of an action", meant)


def _begins_as_fact(text: str) -> bool:
    return any(
        begin not in {"last", "logs", "takes"} and re.fullmatch(f"{begin} {form}", text)
        for begin, form, _ in _FACTS
    )
