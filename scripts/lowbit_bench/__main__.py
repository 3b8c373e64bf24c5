"""Runs bench_formats and bench_transform, times `lowbit analyze`, and writes what was asked for."""

import argparse
import json
import pathlib
import subprocess
import sys

from lowbit_bench import analyze, roofline, summary

PROGRAMS = ("bench_formats", "bench_transform")


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", allow_abbrev=False)
    parser.add_argument("bin", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="32 MiB and 5 pairs")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="form of stdout")
    parser.add_argument("-o", "--out", type=pathlib.Path, help="folder for bench.json and the roofline")
    parser.add_argument("--cases", help="only cases that match this glob")
    parser.add_argument("--threads", help="1, 2, ... or all")
    parser.add_argument("--pairs", help="pairs of limit and case for each row")
    return parser.parse_args()


def measure(program, options, echo):
    """The JSON of one program; its rows go to stderr as they come where `echo` is set."""
    words = [str(options.bin / program), "--output", "json", "--progress"]
    words += ["--quick"] if options.quick else []
    for name in ("cases", "threads", "pairs"):
        if getattr(options, name) is not None:
            words += [f"--{name}", getattr(options, name)]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=None if echo else subprocess.PIPE, text=True)
    if done.returncode != 0 and options.cases is None:
        sys.exit(done.returncode)
    return json.loads(done.stdout) if done.stdout else None


def merged(parts):
    result = {"machine": parts[0]["machine"], "limits": [], "rows": []}
    for part in parts:
        result["limits"] += part["limits"]
        result["rows"] += part["rows"]
    return result


def main():
    options = arguments()
    parts = [part for program in PROGRAMS if (part := measure(program, options, True))]
    if not parts:
        sys.exit("scripts/bench: no case matches")
    result = merged(parts)
    if options.cases is None:
        result["analyze"] = analyze.measure(options.bin / "lowbit", 64 if options.quick else 1024)
    if options.output == "json":
        print(json.dumps(result, indent=1))
    else:
        print(roofline.table(result))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "bench.json").write_text(json.dumps(result, indent=1) + "\n")
        (options.out / "speed.md").write_text(summary.markdown(result))
        for path in roofline.draw(result, options.out / "roofline"):
            print(path, file=sys.stderr)


main()
