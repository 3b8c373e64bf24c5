"""The time of `lowbit analyze` with eight formats beside that of reading the file eight times."""

import os
import statistics
import subprocess
import tempfile
import time

import numpy

FORMATS = "mxint8:rule=ceil,mxfp8_e4m3:rule=ceil,mxint6:rule=ceil,mxfp6_e2m3:rule=ceil,mxint4:rule=ceil,mxfp4:rule=ceil,nvint4,nvfp4"


def read_seconds(path, times):
    """Reads the file `times` times through a buffer of 1 MiB, as analyze does on one thread."""
    buffer = bytearray(1 << 20)
    start = time.perf_counter()
    for _ in range(times):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - start


def measure(lowbit, mib, pairs=3):
    """Median seconds and ratio over `pairs` pairs of reading and analysing a .npy file of N(0, 1) that the page cache holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.npy")
        block = numpy.random.default_rng(1).standard_normal((1024, 4096)).astype(numpy.float32)  # 16 MiB
        tensor = numpy.lib.format.open_memmap(path, mode="w+", dtype=numpy.float32, shape=(mib * 64, 4096))
        for first in range(0, tensor.shape[0], len(block)):
            tensor[first : first + len(block)] = block[: tensor.shape[0] - first]
        del tensor
        out = {"mib": mib, "formats": 8}
        for threads in sorted({1, len(os.sched_getaffinity(0))}):
            reads, runs = [], []
            for _ in range(pairs):
                reads.append(read_seconds(path, 8))
                start = time.perf_counter()
                subprocess.run([lowbit, "analyze", path, "--formats", FORMATS, "--threads", str(threads), "--output", "json"],
                               check=True, stdout=subprocess.DEVNULL)
                runs.append(time.perf_counter() - start)
            ratios = [run / read for run, read in zip(runs, reads)]
            out[f"threads_{threads}"] = {"read_8_times_s": round(statistics.median(reads), 3),
                                         "analyze_s": round(statistics.median(runs), 3),
                                         "ratio": round(statistics.median(ratios), 3), "target": 3}
        return out
