"""Damaged HDF5 files end in values or in one line, never in a crash or a hang; hardened files are never read wrong."""
import random

import h5py
import numpy as np
import pytest

from lowbit_cli import ok, run

MUTANTS = 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged")
    np.save(path / "x.npy", np.linspace(-3, 3, 128, dtype=np.float32).reshape(2, 64))
    ok("cast", "--format", "nvfp4", "--input", "x.npy", "-o", "y.npy", "--codes", "c.h5", cwd=path)
    with h5py.File(path / "plain.h5", "w") as f:  # the library's default layout, with what the hardened one avoids
        f["w"] = np.load(path / "x.npy")
        f.create_dataset("group/z", data=np.load(path / "x.npy"), chunks=(1, 16), compression="gzip", shuffle=True)
        f.attrs["text"] = "variable length"
        f["names"] = ["a", "bc"]
    return path


def mutants(good, seed):
    rng = random.Random(seed)
    for _ in range(MUTANTS):
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= rng.choice([0x01, 0x10, 0x80, 0xFF])
        yield bytes(bad)
    for _ in range(20):
        yield good[: rng.randrange(len(good))]


def assert_tame(done, place):
    assert done.returncode in (0, 65), (place, done.returncode, done.stderr)
    assert done.stderr.count("\n") == (0 if done.returncode == 0 else 1), done.stderr


def test_codes_files(folder):
    good, values = (folder / "c.h5").read_bytes(), (folder / "y.npy").read_bytes()
    refused = 0
    for i, bad in enumerate(mutants(good, 1)):
        (folder / "bad.h5").write_bytes(bad)
        done = run("decode", "--input", "bad.h5", "-o", "z.npy", "--force", cwd=folder)
        assert_tame(done, i)
        refused += done.returncode != 0
        if done.returncode == 0:
            assert (folder / "z.npy").read_bytes() == values
    assert refused > MUTANTS / 8


def test_files_of_others(folder):
    good = (folder / "plain.h5").read_bytes()
    for i, bad in enumerate(mutants(good, 2)):
        (folder / "bad.h5").write_bytes(bad)
        for name in ("w", "group/z"):
            done = run("cast", "--format", "bf16", "--input", f"bad.h5:{name}", "-o", "z.npy", "--force", cwd=folder)
            assert done.returncode in (0, 65, 66), (i, done.returncode, done.stderr)
            assert done.stderr.count("\n") == (0 if done.returncode == 0 else 1), done.stderr
