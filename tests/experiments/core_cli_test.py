"""Command line of a paper and of `lowbit merge`, `inspect`, `list`: bad input, output forms, shards, resume, signals.

Uses the paper that is compiled from the template of a new paper (bin/tests/example).
"""
import csv
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

BIN = pathlib.Path(os.environ["LOWBIT_BIN_DIR"])
EXAMPLE = BIN / "tests" / "example"
LOWBIT = BIN / "tests" / "lowbit_example"
RCP = BIN / "rcp"


def call(program, *arguments, cwd, env=None, **more):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
    return subprocess.run([str(program), *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120,
                          env={**environment, **(env or {})}, **more)


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


BAD = [
    # arguments, exit code, what the line must name
    (["--nope"], 2, "example: error: unknown option '--nope'"),
    (["--see", "5"], 2, "did you mean '--seed'"),
    (["--seed", "-1"], 2, "--seed: '-1'"),
    (["--seed", "nan"], 2, "--seed: 'nan'"),
    (["--seed", "1e3"], 2, "integer"),
    (["--seed", "1", "--seed", "2"], 2, "given twice"),
    (["--threads", "-1"], 2, "integer from 1 to 1024"),
    (["--threads", "0"], 2, "'0'"),
    (["--threads", "2x"], 2, "'2x'"),
    (["--threads"], 2, "threads"),
    (["--bits", "nan"], 2, "'nan'"),
    (["--bits", "2.5"], 2, "integer"),
    (["--bits", "2,2"], 2, "given twice"),
    (["--bits", "8-2"], 2, "'2'"),
    (["--bits", ""], 2, "empty"),
    (["--bits", "1:5:0"], 2, "1:5:0"),
    (["--shape", "unifrom"], 2, "did you mean 'uniform'"),
    (["--trials", "0"], 2, "at least 1"),
    (["--trials", "1,2"], 2, "'1,2'"),
    (["--trials", "inf"], 2, "'inf'"),
    (["--set", "bits"], 2, "NAME=VALUES"),
    (["--set", "bist=2"], 2, "did you mean 'bits'"),
    (["--set", "bits=2", "--bits", "3"], 2, "given twice"),
    (["--set", "bits=2", "--set", "bits=3"], 2, "given twice"),
    (["--set", "trial=3"], 2, "did you mean 'trials'"),
    (["--shard", "2/2"], 2, "--shard"),
    (["--shard", "1"], 2, "I/N"),
    (["--shard", "-1/2"], 2, "--shard"),
    (["--shard", "0/0"], 2, "--shard"),
    (["--output", "xml"], 2, "accepted: text, json, csv"),
    (["--quick", "--full"], 2, "exclude"),
    (["--quick=yes"], 2, "quick"),
    (["rounding", "rounding"], 2, "twice"),
    (["roundin"], 2, "did you mean 'rounding'"),
    (["-o", ""], 2, "folder"),
    (["-o", "/proc/nowhere"], 73, "/proc/nowhere"),
    (["-o", "a_file"], 73, "a_file"),
    (["--config", "missing.ini"], 66, "missing.ini"),
    (["--config", "."], 65, "no regular file"),
    (["--config", "broken.ini"], 65, "broken.ini"),
    (["--config", "unknown_key.ini"], 2, "unknown key 'sede'"),
    (["--config", "unknown_section.ini"], 2, "[roundng]"),
    (["--config", "leaked.ini"], 2, "no axis or parameter 'seed'"),
    (["--config", "twice.ini"], 65, "twice"),
    (["--config", "value.ini"], 2, "'two'"),
    (["--print-config", "--output", "json"], 2, "--print-config"),
]


@pytest.mark.parametrize("arguments,code,text", BAD, ids=lambda v: " ".join(v) if isinstance(v, list) else None)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, arguments, code, text):
    (tmp_path / "a_file").write_text("")
    (tmp_path / "broken.ini").write_text("[rounding\nbits 2\n")
    (tmp_path / "unknown_key.ini").write_text("sede = 1\n")
    (tmp_path / "unknown_section.ini").write_text("[roundng]\nbits = 2\n")
    (tmp_path / "leaked.ini").write_text("[rounding]\nbits = 2\nseed = 3\n")
    (tmp_path / "twice.ini").write_text("[rounding]\nbits = 2\nbits = 3\n")
    (tmp_path / "value.ini").write_text("[rounding]\nbits = two\n")
    before = files(tmp_path)
    run = call(EXAMPLE, *arguments, cwd=tmp_path)
    assert run.returncode == code, run.stderr
    assert text in run.stderr
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""
    assert files(tmp_path) == before


VERBS = [
    (["nope"], 2, "unknown verb 'nope'"),
    (["inspct"], 2, "did you mean 'inspect'"),
    (["inspect"], 2, "FILE.h5 is missing"),
    (["inspect", "none.h5"], 66, "none.h5"),
    (["inspect", "."], 65, "a folder"),
    (["inspect", "text.h5"], 65, "text.h5"),
    (["inspect", "a", "b"], 2, "unexpected word 'b'"),
    (["inspect", "good.h5", "--array", "msr"], 2, "did you mean 'mse'"),
    (["inspect", "good.h5", "--array", "repot/ours"], 2, "did you mean 'report'"),
    (["inspect", "good.h5", "--output", "csv"], 2, "--array"),
    (["list", "exmaple"], 2, "did you mean 'example'"),
    (["list", "--output", "xml"], 2, "accepted: text, json, csv"),
    (["run", "exmaple"], 2, "did you mean 'example'"),
    (["run", "example/roundin"], 2, "did you mean 'rounding'"),
    (["run", "--quick"], 2, "paper"),
    (["describe", "example", "--bits", "x"], 2, "'x'"),
    (["describe", "nothing"], 2, "nothing"),
    (["merge"], 2, "missing"),
    (["merge", "none.shard-0-of-2.h5"], 66, "none"),
    (["merge", "text.h5", "-o", "out.h5"], 65, "text.h5"),
    (["merge", "good.h5"], 2, "--out"),
    (["merge", "good.h5", "-o", "good.h5"], 73, "exists"),
    (["merge", "bad.shard-0-of-2.h5"], 65, "bad"),
    (["version", "word"], 2, "unexpected word"),
    (["version", "--output", "yaml"], 2, "yaml"),
]


@pytest.mark.parametrize("arguments,code,text", VERBS, ids=lambda v: " ".join(v) if isinstance(v, list) else None)
def test_bad_input_of_verbs(tmp_path, arguments, code, text):
    call(EXAMPLE, "--quick", "-o", ".", cwd=tmp_path)
    (tmp_path / "example" / "rounding.h5").rename(tmp_path / "good.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    (tmp_path / "bad.shard-0-of-2.h5").write_text("no HDF5")
    before = files(tmp_path)
    run = call(LOWBIT, *arguments, cwd=tmp_path)
    assert run.returncode == code, run.stderr
    assert text in run.stderr
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""
    assert files(tmp_path) == before


def test_stdout_forms(tmp_path):
    text = call(EXAMPLE, "--quick", cwd=tmp_path)
    assert text.returncode == 0 and "mse_8_bits_over_theory" in text.stdout and text.stderr == ""
    report = json.loads(call(EXAMPLE, "--quick", "--resume", "--output", "json", cwd=tmp_path).stdout)
    assert report["results"][0]["outcome"] == "reused"
    row = report["rows"][0]
    assert row["paper"] == "example" and row["verdict"] == "within" and row["band"] == [0.8, 1.2]
    assert row["interval"][0] < row["ours"] < row["interval"][1] and row["exact"] is False
    table = call(EXAMPLE, "--quick", "--resume", "--output", "csv", cwd=tmp_path).stdout.splitlines()
    assert table[0].startswith("paper,figure,quantity") and len(table) == 2


def test_default_folder_and_listing(tmp_path):
    call(EXAMPLE, "--quick", cwd=tmp_path)
    assert files(tmp_path) == ["results/runs/example/rounding.h5"]
    assert call(EXAMPLE, "--list", cwd=tmp_path).stdout.startswith("rounding ")
    assert "example/rounding" in call(LOWBIT, "list", cwd=tmp_path).stdout
    assert json.loads(call(LOWBIT, "list", "--output", "json", cwd=tmp_path).stdout)[0]["experiment"] == "example/rounding"
    assert json.loads(call(EXAMPLE, "--list", "--output", "json", cwd=tmp_path).stdout)[0]["figure"]
    for program in ([EXAMPLE, "--list"], [LOWBIT, "list", "example"]):
        table = list(csv.DictReader(call(*program, "--output", "csv", cwd=tmp_path).stdout.splitlines()))
        assert table[0]["experiment"] == "example/rounding" and float(table[0]["cost_seconds"]) > 0
    build = list(csv.DictReader(call(LOWBIT, "version", "--output", "csv", cwd=tmp_path).stdout.splitlines()))
    assert build == [{key: value if isinstance(value, str) else json.dumps(value) for key, value in
                      json.loads(call(LOWBIT, "version", "--output", "json", cwd=tmp_path).stdout).items()}]
    assert "--bits" in call(EXAMPLE, "--list-options", cwd=tmp_path).stdout.split()
    assert "revision" in call(LOWBIT, "--version", cwd=tmp_path).stdout


def test_config_is_printed_and_read_back(tmp_path):
    printed = call(EXAMPLE, "--quick", "--seed", "7", "--bits", "3,5", "--print-config", cwd=tmp_path).stdout
    (tmp_path / "run.ini").write_text(printed)
    again = call(EXAMPLE, "--config", "run.ini", "--print-config", cwd=tmp_path).stdout
    assert again == printed and "seed = 7" in printed and "bits = 3,5" in printed and "trials = 256" in printed
    won = call(EXAMPLE, "--config", "run.ini", "--seed", "9", "--set", "bits=4", "--print-config", cwd=tmp_path).stdout
    assert "seed = 9" in won and "bits = 4\n" in won
    assert files(tmp_path) == ["run.ini"]


def test_a_name_with_a_number_sign_survives_the_configuration(tmp_path):
    """A '#' is a comment at the start of a line alone: files may be called so."""
    (tmp_path / "t#2.jsonl").write_text("")
    words = ["recorded", "--traces-file", "t#2.jsonl", "-o", "out #1"]
    printed = call(RCP, *words, "--print-config", cwd=tmp_path).stdout
    assert "traces_file = t#2.jsonl\n" in printed and "out = out #1\n" in printed
    (tmp_path / "run.ini").write_text("  # a comment\n" + printed.replace("[recorded]", "\t[ recorded ] ").replace("\n", "\r\n"))
    assert call(RCP, "recorded", "--config", "run.ini", "--print-config", cwd=tmp_path).stdout == printed
    refused = call(RCP, "recorded", "--traces-file", "t ", "--print-config", cwd=tmp_path)
    assert refused.returncode == 2 and "blank" in refused.stderr


def test_describe_and_dry_run_write_nothing(tmp_path):
    described = json.loads(call(EXAMPLE, "--bits", "2-8+2", "--describe", cwd=tmp_path).stdout)["experiments"][0]
    assert [a["values"] for a in described["axes"]] == [[2, 4, 6, 8], ["uniform"]]
    assert described["points"] == 4 and described["params"][0]["default"] == 4096
    assert described == json.loads(call(LOWBIT, "describe", "example/rounding", "--bits", "2-8+2", cwd=tmp_path).stdout)["experiments"][0]
    assert "2 of 4 points" in call(EXAMPLE, "--bits", "2-8+2", "--shard", "1/2", "--dry-run", cwd=tmp_path).stdout
    assert files(tmp_path) == []


def test_a_dry_run_in_every_form(tmp_path):
    words = ["--bits", "2-8+2", "--shard", "1/2", "--dry-run", "--output"]
    text, form, table = (call(EXAMPLE, *words, form, cwd=tmp_path).stdout for form in ("text", "json", "csv"))
    (dry,), (row,) = json.loads(form), csv.DictReader(table.splitlines())
    assert (dry["experiment"], dry["points"], dry["of"]) == ("example/rounding", 2, 4)
    assert dry["axes"] == {"bits": [2, 4, 6, 8], "shape": ["uniform"]}
    assert f"{dry['numbers_per_point']} numbers a point -> {dry['file']}" in text
    assert {key: str(dry[key]) for key in ("experiment", "points", "of", "numbers_per_point", "file")}.items() <= row.items()
    assert row["axes"] == "bits=2,4,6,8 shape=uniform" and row["reason"] == ""
    assert files(tmp_path) == []


def test_shards_merge_to_the_serial_file(tmp_path):
    call(EXAMPLE, "--bits", "1-10", "--reproducible", "-o", "whole", cwd=tmp_path)
    for i in range(3):
        assert call(EXAMPLE, "--bits", "1-10", "--shard", f"{i}/3", "-o", "parts", cwd=tmp_path).returncode == 0
    shards = sorted((tmp_path / "parts").rglob("*.h5"))
    run = call(LOWBIT, "merge", *shards, "--reproducible", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    merged, whole = tmp_path / "parts/example/rounding.h5", tmp_path / "whole/example/rounding.h5"
    assert subprocess.run(["h5diff", "--exclude-path=/provenance", merged, whole]).returncode == 0


def test_every_flipped_byte_of_a_shard_is_refused_or_harmless(tmp_path):
    for i in range(2):
        call(EXAMPLE, "--quick", "--trials", "3", "--shard", f"{i}/2", "--reproducible", "-o", ".", cwd=tmp_path)
    a, b = (tmp_path / f"example/rounding.shard-{i}-of-2.h5" for i in range(2))
    assert call(LOWBIT, "merge", a, b, "-o", "good.h5", "--reproducible", cwd=tmp_path).returncode == 0
    good, data = (tmp_path / "good.h5").read_bytes(), b.read_bytes()
    refused = 0
    for at in range(0, len(data), 101):
        flipped = bytearray(data)
        flipped[at] ^= 0x10
        b.write_bytes(flipped)
        out = tmp_path / "out.h5"
        run = call(LOWBIT, "merge", a, b, "-o", out, "--reproducible", cwd=tmp_path)
        assert run.returncode in (0, 65), (at, run.returncode, run.stderr)
        if run.returncode == 0:
            assert out.read_bytes() == good, at
            out.unlink()
        else:
            refused += 1
            assert not out.exists() and b.name in run.stderr
    assert refused > 50


def test_killed_runs_leave_no_result_and_resume_to_the_same_bytes(tmp_path):
    slow = ["--bits", "1-40", "--trials", "100000", "--threads", "2", "--reproducible"]
    assert call(EXAMPLE, *slow, "-o", "whole", cwd=tmp_path).returncode == 0
    whole = (tmp_path / "whole/example/rounding.h5").read_bytes()
    target = tmp_path / "cut/example/rounding.h5"
    codes = set()
    for attempt, number in enumerate([signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGKILL] * 3):
        process = subprocess.Popen([EXAMPLE, *slow, "--resume", "-o", "cut"], cwd=tmp_path, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        time.sleep(0.02 * (1 + attempt % 7))
        until = time.time() + 20
        while attempt % 2 and process.poll() is None and time.time() < until:  # every other time: not before the first point
            if target.parent.exists() and any(".points." in name for name in os.listdir(target.parent)):
                break
            time.sleep(0.002)
        process.send_signal(number)
        process.communicate(timeout=60)
        codes.add((number, process.returncode))
        if target.exists():  # finished before the signal: whole, or nothing
            assert target.read_bytes() == whole
            target.unlink()
    assert call(EXAMPLE, *slow, "--resume", "-o", "cut", cwd=tmp_path).returncode == 0
    assert target.read_bytes() == whole
    assert files(tmp_path / "cut") == ["example/rounding.h5"]
    allowed = {(signal.SIGKILL, -9), (signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)}
    # before the handlers stand, the signals end the program as they always do
    assert codes <= allowed | {(s, 0) for s, _ in allowed} | {(s, -s) for s, _ in allowed}
    assert codes & {(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)}


def test_full_disk_and_closed_stdout(tmp_path):
    run = subprocess.run(["bash", "-c", f"ulimit -f 8; exec {EXAMPLE} --trials 100000 --quick"], cwd=tmp_path,
                         capture_output=True, text=True)
    assert run.returncode == 74 and "cannot be written" in run.stderr and run.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("rounding.h5")) and not list(tmp_path.rglob("*.tmp"))
    with open("/dev/full", "w") as full:
        run = subprocess.run([EXAMPLE, "--list"], stdout=full, stderr=subprocess.PIPE, cwd=tmp_path)
    assert run.returncode == 74


def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    """Not told as a standard output that cannot be written."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d/loop").symlink_to(".")
    done = call(RCP, "recorded", "--traces-file", "d", cwd=tmp_path)
    assert done.returncode == 66 and "'d'" in done.stderr and "standard output" not in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1


def test_threads_that_cannot_be_started_are_no_fault_of_the_output(tmp_path):
    become = "setpriv --reuid 65534 --clear-groups " if os.geteuid() == 0 else ""  # the limit does not bind root
    if become and (not shutil.which("setpriv") or subprocess.run(f"{become}{EXAMPLE} --list", shell=True, capture_output=True).returncode):
        pytest.skip("as root this needs setpriv and a build that others may read")
    tmp_path.chmod(0o777)
    run = subprocess.run(["bash", "-c", f"ulimit -u 1; exec {become}{EXAMPLE} --threads 2 -o {tmp_path}"], cwd="/", capture_output=True,
                         text=True, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"})
    assert (run.returncode, run.stderr) == (70, "example: error: Resource temporarily unavailable\n")


def test_threads_come_from_slurm(tmp_path):
    assert call(EXAMPLE, "--quick", cwd=tmp_path, env={"SLURM_CPUS_PER_TASK": "3"}).returncode == 0
    inspected = json.loads(call(LOWBIT, "inspect", "results/runs/example/rounding.h5", "--output", "json", cwd=tmp_path).stdout)
    assert inspected["groups"]["provenance"]["groups"]["run"]["attributes"]["threads"] == 3
    assert call(EXAMPLE, "--quick", "--force", cwd=tmp_path, env={"SLURM_CPUS_PER_TASK": ""}).returncode == 0  # not set
    bad = call(EXAMPLE, "--quick", "--force", cwd=tmp_path, env={"SLURM_CPUS_PER_TASK": "many"})
    assert bad.returncode == 2 and "SLURM_CPUS_PER_TASK" in bad.stderr


def test_progress_shows_on_a_terminal_only(tmp_path):
    slow = [EXAMPLE, "--bits", "1-40", "--trials", "200000", "--force"]
    quiet = call(slow[0], *slow[1:], cwd=tmp_path)
    assert quiet.returncode == 0 and quiet.stderr == ""
    try:
        ours, theirs = os.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminal here: {error.strerror}")
    process = subprocess.Popen(slow, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:  # the end of a pseudo-terminal
        pass
    assert process.wait(timeout=60) == 0
    assert b"example/rounding: " in seen and b"/40 points" in seen and b"/s, " in seen and b" left" in seen
    assert seen.endswith(b"\r\x1b[K")  # the line is cleared
