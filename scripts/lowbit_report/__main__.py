"""Command line of scripts/reproduce."""
import argparse
import math
import os
import sys
from pathlib import Path

from lowbit_report import programs


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="scripts/reproduce",
        description="Runs every experiment, draws its figures and writes report.html, report.md and report.json. "
        "Typed again it reuses what is complete.")
    parser.add_argument("--quick", action="store_true", help="the smoke set: under a minute")
    parser.add_argument("--full", action="store_true", help="everything there is, with an estimate of the time")
    parser.add_argument("--only", metavar="SLUG,...", help="papers or figures: int_vs_fp,rcp/main")
    parser.add_argument("--minutes", metavar="N", type=float,
                        help="leave out the dearest figures that do not fit into N minutes on 2 cores (default: 15 for the "
                        "default settings; no limit with --quick, --full or --only)")
    parser.add_argument("-o", "--out", metavar="DIR", default="results/runs", help="where results go (default: %(default)s)")
    parser.add_argument("--threads", metavar="N", type=int, help="worker threads (default: all that this process may use)")
    parser.add_argument("--force", action="store_true", help="compute again what is complete already")
    parser.add_argument("--check", action="store_true",
                        help="exit 1 if a verdict is unexpected: outside its band and not listed as known, or "
                        "listed and yet within (not with --quick, whose sizes the bands are not made for)")
    parser.add_argument("--no-plots", action="store_true", help="leave the figures out")
    options = parser.parse_args(arguments)
    if options.quick and options.full:
        parser.error("--quick and --full exclude each other")
    if options.threads is not None and options.threads < 1:
        parser.error(f"--threads {options.threads}: a number from 1 is expected")
    if options.minutes is not None and not 0 < options.minutes < math.inf:
        parser.error(f"--minutes {options.minutes:g}: a positive number is expected")
    return options


def main(arguments):
    options = parse(arguments)
    from lowbit_report import render, rows  # need packages, which --help must not

    mode = "quick" if options.quick else "full" if options.full else "default"
    out = Path(options.out)
    folder = out / mode
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"reproduce: cannot make '{folder}': {error.strerror}", file=sys.stderr)
        return 73
    selected = programs.select(programs.experiments(folder, mode), options.only)
    minutes = options.minutes or (math.inf if options.only or mode != "default" else 15)
    left_out = programs.within_budget(selected, minutes)
    programs.announce(selected, left_out, mode)
    chosen = [e for e in selected if e.name not in left_out]
    failed = programs.run(chosen, folder, mode, options.threads, options.force)
    figures = {} if options.no_plots else programs.draw(chosen, failed)
    absent = failed | left_out
    report = rows.collect(selected, absent)
    render.write(out, report, figures, selected, absent, mode)
    unexpected = rows.unexpected(report, mode)
    rows.summarise(report, unexpected, failed, mode)
    print(f"report: {out / 'report.html'}", file=sys.stderr)
    if failed:
        return 1
    return 1 if options.check and unexpected else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except programs.UserError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("reproduce: interrupted; type the same again to go on", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os._exit(0)
