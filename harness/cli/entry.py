# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``harness``: what pytest does not do."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from typing import TYPE_CHECKING

from harness.cli.parser import moved, parser
from harness.errors import ExitCode, HarnessError

if TYPE_CHECKING:
    from collections.abc import Sequence

_HOSTS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""What is wrong with a file that the host is to blame for, and not the path that the user gave."""
_RARELY = 100_000
"""Objects after which Python looks for garbage. Its own 700 costs a short command a tenth of its time."""


def command() -> int:
    """Run the command of this process; return its exit code."""
    gc.set_threshold(_RARELY)
    # No plugin of pydantic's has to do with recipes; to look for one, it would read all packages' metadata.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    atexit.register(gc.freeze)  # else Python looks through all that was imported before it ends
    return main()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; one message and the error's exit code when it cannot be done."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "_ARGCOMPLETE" in os.environ:
        from harness.cli.completion import complete  # noqa: PLC0415  # the shell asks, by an environment variable

        complete()
    if not words:
        parser(words).print_help(sys.stderr)
        return ExitCode.MISTAKE
    try:
        if said := moved(words):
            raise HarnessError(said)  # noqa: TRY301  # one place reports all mistakes
        options = parser(words).parse_args(words)
        code: int | None = options.run(options)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.filename is None:
            raise
        print(f"harness: {os.fsdecode(error.filename)}: {error.strerror}", file=sys.stderr)
        return ExitCode.HOST if error.errno in _HOSTS else ExitCode.MISTAKE
    except KeyboardInterrupt:
        print("harness: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    else:
        return ExitCode.OK if code is None else code
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(command())
