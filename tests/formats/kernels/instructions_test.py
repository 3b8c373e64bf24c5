"""Instructions per value of the AVX2 kernels, counted by callgrind: they repeat exactly where times do not."""
import os
import re
import shutil
import subprocess

import pytest

VALUES = 16384
PROGRAM = os.path.join(os.environ["LOWBIT_BIN_DIR"], "test_formats")

# Bounds stand a tenth above what was counted when the loops were written: an instruction more in a loop of eight lanes is
# 0.125 a value.
BOUNDS = {
    "mxfp4": 2.65,  # 2.52 counted
    "mxint8:rule=ceil": 1.46,  # 1.31
    "nvfp4": 4.62,  # 4.31, the pass for the tensor's maximum included
    "int4:g128": 3.03,  # 2.78
    "mxfp4:round=sr": 14.2,  # 13.63
}


def instructions(fmt, repeat, folder):
    environment = dict(os.environ, LOWBIT_KERNEL="AVX2", LOWBIT_FORMAT=fmt, LOWBIT_REPEAT=str(repeat))
    run = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", PROGRAM, "[instructions]"],
                         env=environment, capture_output=True, text=True, timeout=300)
    if "not a kernel of this build and machine" in run.stdout + run.stderr:
        pytest.skip("no AVX2 kernels here or under valgrind")
    assert run.returncode == 0, run.stdout + run.stderr
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
@pytest.mark.parametrize("fmt", BOUNDS)
def test_instructions_per_value(fmt, tmp_path):
    # the start of the program varies by some 10^5 instructions, which 6.5 million values make invisible
    few, many = instructions(fmt, 10, tmp_path), instructions(fmt, 410, tmp_path)
    per_value = (many - few) / (400 * VALUES)
    print(f"{fmt}: {per_value:.3f} instructions a value")
    assert 0.5 < per_value <= BOUNDS[fmt]
