"""Runs the `lowbit` program in tests."""
import json
import os
import subprocess

BIN = os.path.join(os.environ.get("LOWBIT_BIN_DIR", os.path.join(os.getcwd(), "build", "bin")), "lowbit")


def run(*words, cwd=None, **more):
    """The finished process; standard output and error as text."""
    return subprocess.run([BIN, *map(str, words)], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=120, **more)


def ok(*words, cwd=None):
    """Standard output of a run that must succeed."""
    done = run(*words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ok_json(*words, cwd=None):
    return json.loads(ok(*words, "--output", "json", cwd=cwd))
