"""`lowbit cast` and `lowbit analyze` read piece by piece: files larger than memory, results that do not depend on pieces."""
import json
import os
import resource
import subprocess

import numpy as np
import pytest

from lowbit_cli import BIN, ok, ok_json

MIB = 1 << 20
FORMATS = ["mxfp4", "mxint8:rule=ceil", "nvfp4", "int8:channel", "e4m3:tensor", "int4:g48:s=fp16:asym", "mxfp6_e2m3:round=sr:seed=3",
           "bf16", "mxfp4:like=gfloat"]
# rows that end inside groups, rows longer than a piece, several slabs, another axis than the last
SHAPES = [((40, 3000), -1, "id"), ((3, 200_000), -1, "had:32"), ((70_001,), -1, "id"), ((300, 500), 0, "had:4"), ((5, 96, 700), 1, "id"),
          ((2, 66_560), -1, "had:1024"), ((1, 150_016), -1, "id")]


def sample(shape, seed=2):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * 2.0 ** rng.integers(-6, 6, shape)).astype(np.float32)


@pytest.mark.parametrize("shape, axis, transform", SHAPES)
def test_pieces_change_nothing(tmp_path, shape, axis, transform):
    """The codes file is made of the whole tensor at once."""
    np.save(tmp_path / "x.npy", sample(shape))
    for name in FORMATS:
        arguments = ["--format", name, "--input", "x.npy", f"--axis={axis}", "--transform", transform, "--force"]
        first = ok_json("cast", *arguments, "-o", "y.npy", "--codes", "c.h5", "--threads", "2", cwd=tmp_path)
        ok("decode", "--input", "c.h5", "-o", "whole.npy", "--force", cwd=tmp_path)
        y, whole = np.load(tmp_path / "y.npy"), np.load(tmp_path / "whole.npy")
        assert np.array_equal(y.view(np.uint32), whole.view(np.uint32)), name
        again = ok_json("cast", *arguments, "-o", "z.npy", "--threads", "1", cwd=tmp_path)
        assert (tmp_path / "z.npy").read_bytes() == (tmp_path / "y.npy").read_bytes()
        x = np.load(tmp_path / "x.npy").astype(np.float64)
        assert first["qsnr_db"] == again["qsnr_db"] == pytest.approx(10 * np.log10((x**2).sum() / ((x - y) ** 2).sum()), rel=1e-9)


@pytest.mark.parametrize("shape, axis, transform", SHAPES)
def test_analysis_does_not_depend_on_threads_or_kernels(tmp_path, shape, axis, transform):
    np.save(tmp_path / "x.npy", sample(shape))
    arguments = ["analyze", "x.npy", "--formats", ",".join(FORMATS), "--transform", transform, f"--axis={axis}"]
    one = ok_json(*arguments, "--threads", "1", cwd=tmp_path)
    assert ok_json(*arguments, "--threads", "3", cwd=tmp_path) == one
    program = subprocess.run([BIN, *arguments, "--output", "json"], cwd=tmp_path, capture_output=True, check=True,
                             env={**os.environ, "LOWBIT_KERNEL": "ref"})
    assert json.loads(program.stdout) == one
    for row in one["formats"] if transform == "id" else []:
        cast = ok_json("cast", "--format", row["format"], "--input", "x.npy", "-o", "y.npy", f"--axis={axis}", "--force", cwd=tmp_path)
        assert row["qsnr_db"] == cast["qsnr_db"] and row["mse"] == cast["mse"]


def limited(bytes_):
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))


def test_files_larger_than_memory(tmp_path):
    """640 MiB of values under a limit of 512 MiB of address space: mostly a hole, with values at its ends and in the middle."""
    rows, columns = 160 * 1024, 1024
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float32, shape=(rows, columns))
    for first in (0, rows // 2, rows - 64):
        x[first : first + 64] = sample((64, columns), first)
    x.flush()
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}

    def run(*words):
        done = subprocess.run([BIN, *words, "--threads", "2", "--output", "json"], cwd=tmp_path, env=environment,
                              capture_output=True, text=True, preexec_fn=limited(512 * MIB))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    analysis = run("analyze", "x.npy", "--formats", "mxfp4,nvfp4")
    cast = run("cast", "--format", "nvfp4", "--input", "x.npy", "-o", "y.npy")
    assert analysis["formats"][1]["qsnr_db"] == cast["qsnr_db"]
    y = np.load(tmp_path / "y.npy", mmap_mode="r")
    assert y.shape == x.shape and not y[100:1000].any()
    # the same values without the holes: the tensor's maximum is theirs, so that all blocks are equal
    parts = np.concatenate([x[first : first + 64] for first in (0, rows // 2, rows - 64)])
    np.save(tmp_path / "small.npy", parts)
    small = ok_json("cast", "--format", "nvfp4", "--input", "small.npy", "-o", "small_y.npy", cwd=tmp_path)
    joined = np.concatenate([y[first : first + 64] for first in (0, rows // 2, rows - 64)])
    assert np.array_equal(joined.view(np.uint32), np.load(tmp_path / "small_y.npy").view(np.uint32))
    assert small["qsnr_db"] == pytest.approx(cast["qsnr_db"], rel=1e-12)
