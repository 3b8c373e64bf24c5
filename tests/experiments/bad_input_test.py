"""Bad input ends in the right exit code, one line on stderr that says what is wrong, and an untouched folder."""
import collections
import hashlib
import os
import shlex
import subprocess

import pytest

import bad_input_files
from bad_input_table import CASES
from lowbit_cli import BIN, run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("bad")
    bad_input_files.write_all(path)
    return path


def snapshot(folder):
    """Every path with the digest of its content."""
    found = {}
    for root, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(root, name)
            content = open(path, "rb").read() if os.path.isfile(path) else b""
            found[os.path.relpath(path, folder)] = hashlib.sha256(content).hexdigest()
        found[os.path.relpath(root, folder)] = "folder"
    return found


@pytest.fixture(scope="module")
def before(folder):
    return snapshot(folder)


@pytest.mark.parametrize("subject, words, code, texts", CASES, ids=[f"{c[0]}-{c[1][:60]}" for c in CASES])
def test_refusal(folder, before, subject, words, code, texts):
    done = run(*shlex.split(words), cwd=folder)
    assert done.returncode == code, done.stderr
    if words:  # without a verb the whole help is the answer
        assert done.stderr.endswith("\n") and done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("lowbit: error: ")
        assert len(done.stderr) < 1200
    for text in texts:
        assert text in done.stderr
    assert done.stdout == ""
    assert snapshot(folder) == before


def test_the_table_covers_every_verb_and_reader_five_times():
    subjects = collections.Counter(case[0] for case in CASES)
    assert min(subjects.values()) >= 5, subjects
    assert {"npy", "safetensors", "folder", "h5"} <= set(subjects)
    listed = run("--help").stdout.split("\n\n")[2].splitlines()
    verbs = {line.split()[0] for line in listed if line.startswith("  ")}
    assert verbs and verbs <= set(subjects), verbs - set(subjects)
    assert len(CASES) >= 100 and len(set(c[1] for c in CASES)) == len(CASES)


def in_small_space(folder, command, kilobytes):
    """Runs `command` with files limited to so many KiB: what a full disk looks like to a write."""
    return subprocess.run(["bash", "-c", f"ulimit -f {kilobytes}; exec {command}"], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)


@pytest.mark.parametrize("words", ["cast --format mxfp4 --input x.npy -o out.npy", "cast --format mxfp4 --input x.npy -o out.npy --codes out.h5",
                                   "decode --input codes.h5 -o out.npy", "analyze x.npy --formats mxfp4 -o out.h5",
                                   "pack --layout byte --input codes.h5 -o out.safetensors",
                                   "unpack --layout gpt_oss_mxfp4 --input gpt_good.safetensors -o out.h5"])
def test_a_write_that_fails_leaves_nothing(folder, words):
    if not (folder / "gpt_good.safetensors").exists():
        run("pack", "--layout", "gpt_oss_mxfp4", "--input", "codes.h5", "-o", "gpt_good.safetensors", cwd=folder)
    before = snapshot(folder)
    done = in_small_space(folder, f"{BIN} {words}", 0)
    assert done.returncode == 74, (done.returncode, done.stderr)
    assert done.stderr.count("\n") == 1 and "out." in done.stderr
    assert snapshot(folder) == before


def test_a_full_disk(folder, tmp_path):
    """A real file system without space, where the test may mount one."""
    mount = tmp_path / "full"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", mount], stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        done = run("cast", "--format", "mxfp4:g8", "--input", folder / "x.npy", "-o", mount / "y.npy", "--codes", mount / "c.h5")
        assert done.returncode == 74 and done.stderr.count("\n") == 1
        assert os.listdir(mount) == []
    finally:
        subprocess.run(["umount", mount], check=True)


def test_stdout_that_cannot_be_written(folder):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BIN, "formats"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 74 and done.stderr.count("\n") == 1


@pytest.mark.parametrize("streams", ["stdout", "both"])
def test_a_reader_that_has_seen_enough_is_no_error(streams):
    """`lowbit formats | head -1`: the pipe is closed before anything is written."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([BIN, "formats"], stdout=write, stderr=write if streams == "both" else subprocess.PIPE, text=True)
    finally:
        os.close(write)
    assert done.returncode == 141 and not done.stderr


@pytest.mark.parametrize("words", [["formats"], ["run", "int_vs_fp", "hardware", "-o", "never"]])
def test_an_unknown_kernel_is_refused_before_any_work(folder, words):
    done = subprocess.run([BIN, *words], cwd=folder, env=os.environ | {"LOWBIT_KERNEL": "avx9"}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "'avx9'" in done.stderr and "ref" in done.stderr
    assert not (folder / "never").exists()
