# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How QEMU is trained by boots: with tools that are shell scripts, and once with those of the host."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.artifacts import qemu
from harness.artifacts.qemu import BINARY, KIND, MADE_WITH, build_qemu, qemu_inputs
from harness.artifacts.qemu_trained import Training
from harness.errors import HarnessError
from harness.recipes.qemu import load_qemu
from harness.store.carried import carried_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.store.entries import Artifact
    from tests.support.toy_qemu import Toy

GCC = "#!/bin/sh\ncase $* in *profile*) printf '#!/bin/sh\\n' >trial && chmod +x trial;; esac\n"
MESON = '#!/bin/sh\ntest -e qemu-bundle/usr/local/share/qemu/rom.bin && echo "$@" >used\n'
COUNTING = '#!/bin/sh\nif test -e used; then cat used *.gcda >"$3"; else echo counts >"$3"; fi\n'


def trained(toy: Toy, boot: Callable[[Path], None]) -> Artifact:
    training = Training("a boot", boot)
    return build_qemu(load_qemu(toy.whole), toy.apt, toy.lock, toy.whole, training=training)


@pytest.fixture
def counting(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for what compiles."""
    for name, script in {"gcc": GCC, "meson": MESON, "ninja": COUNTING}.items():
        toy.tool(name, script)
    monkeypatch.setattr(qemu, "_MESON", (str(toy.bin / "meson"),))


@pytest.mark.usefixtures("counting")
def test_a_trained_qemu_is_compiled_by_what_its_boots_counted(toy: Toy) -> None:
    def boot(program: Path) -> None:
        assert program.read_text() == "counts\n"
        (program.parent / "main.gcda").write_text("counted\n")

    made = trained(toy, boot)
    assert (made.path / BINARY).read_text() == "configure -Db_pgo=use\ncounted\n"
    lines = (toy.root / "cache/logs/qemu-build.log").read_text().splitlines()
    assert [line for line in lines if " --small " in line and line.endswith(" -Db_pgo=generate")]
    assert made.provenance["inputs"]["trained"] == "a boot"
    assert "QEMU: boots to learn from, a boot" in toy.said
    untrained = qemu_inputs(load_qemu(toy.whole), toy.lock, toy.whole)
    assert carried_key(KIND, made.provenance["inputs"], MADE_WITH) == carried_key(KIND, untrained, MADE_WITH)
    assert toy.build().path != made.path


@pytest.mark.usefixtures("counting")
def test_boots_that_count_nothing_train_nothing(toy: Toy) -> None:
    with pytest.raises(HarnessError, match="the boots of a boot left no counts"):
        trained(toy, lambda _program: None)


@pytest.mark.parametrize("script", ["exit 1", "case $* in *profile*) exit 1;; esac"])
def test_a_compiler_that_cannot_count_trains_nothing_and_says_so(toy: Toy, script: str) -> None:
    toy.tool("gcc", f"#!/bin/sh\n{script}\n")

    def boot(program: Path) -> None:
        pytest.fail(f"nothing was to be learnt from {program}")

    made = trained(toy, boot)
    assert any(line.startswith("gcc cannot count") for line in toy.said)
    assert toy.build().path == made.path


# As QEMU's, it gives the compiler's words to meson by the environment.
CONFIGURE = """\
#!/bin/sh
shift 2
for word; do
    shift
    case $word in
    --extra-cflags=*) CFLAGS="$CFLAGS ${word#*=}" ;;
    *) set -- "$@" "$word" ;;
    esac
done
export CFLAGS
exec meson setup . ../source "$@"
"""
REAL = {
    "configure": CONFIGURE,
    "meson.build": f"project('toy', 'c')\nexecutable('{BINARY}', 'main.c')\n",
    "main.c": "int main(int c, char **v) { return c > 1 ? v[1][0] - '0' : 0; }\n",
}


def test_gcc_meson_and_ninja_do_all_of_it(toy: Toy) -> None:
    for name, text in REAL.items():
        toy.write(f"qemu-builds/files/{name}", text)
    (toy.project / "qemu-builds/patches/0001-shout.patch").unlink()
    (toy.bin / "ninja").unlink()
    toy.tool("strip", f'#!/bin/sh\ncp "${{1%/*}}/work/build/build.ninja" {toy.root}\n')

    def boot(program: Path) -> None:
        assert subprocess.run([program, "7"], check=False).returncode == 7
        assert [*program.parent.rglob("*.gcda")]

    made = trained(toy, boot)
    assert subprocess.run([made.path / BINARY, "4"], check=False).returncode == 4
    used = (toy.root / "build.ninja").read_text()
    assert "-fprofile-use" in used
    assert "-fprofile-generate" not in used
