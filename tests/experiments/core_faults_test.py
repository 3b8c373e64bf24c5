"""I/O faults at every site: the k-th system call of a kind fails, and the result is whole or absent, the exit code 73/74.

Needs strace (package strace) and the right to trace; skipped where either is missing.
"""
import os
import pathlib
import shutil
import subprocess

import pytest

EXAMPLE = pathlib.Path(os.environ["LOWBIT_BIN_DIR"]) / "tests" / "example"
RUN = [str(EXAMPLE), "--quick", "--threads", "1", "--reproducible", "-o", "runs"]


def traces():
    return shutil.which("strace") and subprocess.run(["strace", "-qq", "-e", "trace=none", "true"]).returncode == 0


pytestmark = pytest.mark.skipif(not traces(), reason="strace cannot trace here")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    subprocess.run(RUN, cwd=folder, check=True, capture_output=True)
    return (folder / "runs/example/rounding.h5").read_bytes()


SITES = [("write", "ENOSPC"), ("write", "EIO"), ("fsync", "EIO"), ("close", "EIO"), ("renameat2", "EIO"), ("mkdir", "ENOSPC"),
         ("openat", "EMFILE"), ("openat", "EACCES")]


def count(call, folder):
    """How often the program makes this call; the first ones load libraries."""
    trace = folder / "trace"
    subprocess.run(["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={call}", *RUN], cwd=folder, check=True,
                   capture_output=True)
    return len(trace.read_text().splitlines())


@pytest.mark.parametrize("call,error", SITES)
def test_a_failing_call_never_leaves_half_a_result(tmp_path, good, call, error):
    total = count(call, tmp_path)
    failed = 0
    for k in range(max(1, total - 25), total + 1):
        folder = tmp_path / str(k)
        folder.mkdir()
        fault = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={k}"]
        run = subprocess.run(fault + RUN, cwd=folder, capture_output=True, text=True, timeout=60)
        target = folder / "runs/example/rounding.h5"
        assert run.returncode >= 0, f"{call} {k}: signal {-run.returncode}"
        if target.exists():
            assert target.read_bytes() == good
        else:
            assert run.returncode in (66, 70, 73, 74) or "shared libraries" in run.stderr, f"{call} {k}: {run.stderr}"
            assert run.stderr
        assert not list(folder.rglob("*.tmp")), f"{call} {k}"
        failed += run.returncode != 0
    assert failed, f"no {call} of the program fails"
