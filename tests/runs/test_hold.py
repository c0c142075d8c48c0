# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The option --hold-on-fail: with what it does not go, and what it takes from tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import ExitCode

if TYPE_CHECKING:
    import pytest

TEST = """\
def test_marked(request):
    assert [it.args for it in request.node.iter_markers("timeout")] == [(0,)]
"""


def test_no_test_times_out_while_a_machine_is_held(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)
    pytester.runpytest_inprocess("--hold-on-fail").assert_outcomes(passed=1)
    pytester.runpytest_inprocess().assert_outcomes(failed=1)


def test_not_with_workers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)
    done = pytester.runpytest_inprocess("--hold-on-fail", "-n", "2")
    assert done.ret == ExitCode.MISTAKE
    done.stderr.fnmatch_lines(["*--hold-on-fail and -n do not go together*"])
