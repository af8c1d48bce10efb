"""A script that starts in a fork sees and says what it does in a fresh interpreter."""

import os
import sys

import pytest
from conftest import child_env

SCRIPT = """
import atexit, os, sys
atexit.register(print, "at exit", flush=True)
import paint
assert os.environ["COLOUR"] == paint.COLOUR
print(__name__, sys.argv, os.getcwd(), sys.path[0], os.environ["COLOUR"], sys.stdin.read())
print("warning", file=sys.stderr)
"""
ENDS = {
    "returns": "",
    "says a number": "sys.exit(3)",
    "says a sentence": "sys.exit('No such song.')",
    "says nothing": "sys.exit()",
    "fails": "raise ValueError('no such song')",
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_like_a_fresh_interpreter(end, tmp_path, warm_python, run):
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "script.py").write_text(f"{SCRIPT}\n{end}\n")
    call = "local/script.py", "--name", "a b", ""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "paint.py").write_text("COLOUR = 'blue'\n")
    env = {"COLOUR": "blue", "PYTHONPATH": f"more{os.pathsep}{child_env()['PYTHONPATH']}"}
    options = {"cwd": tmp_path, "env": env, "input": "from stdin"}
    warm, fresh = (run(python, *call, **options) for python in (warm_python, sys.executable))
    assert (warm.returncode, warm.stdout) == (fresh.returncode, fresh.stdout)
    assert warm.stdout.endswith("at exit\n") and "blue from stdin" in warm.stdout
    assert warm.stderr.splitlines()[-1] == fresh.stderr.splitlines()[-1]


def test_commands_and_modules_are_run_by_the_interpreter_itself(warm_python, run):
    assert (
        run(warm_python, "-c", "import sys; print(sys.executable)").stdout == f"{sys.executable}\n"
    )
    assert "usage" in run(warm_python, "-m", "asteroid_joint.cli", "--help").stdout


def test_a_killed_script_is_no_success(tmp_path, warm_python, run):
    script = tmp_path / "script.py"
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    done = run(warm_python, script)
    assert done.returncode == 1 and done.stderr == "The process of this script is gone.\n"
