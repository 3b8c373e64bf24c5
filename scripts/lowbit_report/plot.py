"""Command line of scripts/plot."""
import argparse
import sys
from pathlib import Path

from lowbit_report import figures


def stop(code, message):
    """One line on stderr and the exit code of sysexits that fits."""
    print(f"plot: {message}", file=sys.stderr)
    sys.exit(code)


def experiment_of(file):
    """Name of the experiment in a result file; exits with one line if it is none."""
    if not file.is_file():
        stop(66, f"no file '{file}'")
    import h5py  # here, since --help needs no packages

    try:
        with h5py.File(file) as results:
            name = results.attrs.get("experiment")
    except OSError:
        name = None
    if name is None:
        stop(65, f"'{file}' is no result file of lowbit")
    return name.decode() if isinstance(name, bytes) else str(name)


def main():
    parser = argparse.ArgumentParser(prog="scripts/plot", description="Draws result files as PNG, SVG and PDF.")
    parser.add_argument("files", metavar="FILE.h5", nargs="+", type=Path)
    parser.add_argument("-o", "--out", metavar="DIR", type=Path, help="folder of the pictures (default: beside each file)")
    options = parser.parse_args()
    for file in options.files:
        name = experiment_of(file)
        function = figures.function_for(name)
        if function is None:
            stop(65, f"there is no figure for '{name}'; scripts/plots/{name.split('/')[0]}.py has none of that name")
        folder = options.out or file.parent
        folder.mkdir(parents=True, exist_ok=True)
        figures.draw(function, file, folder / file.stem)
        print(folder / f"{file.stem}.png")


if __name__ == "__main__":
    try:
        main()
    except ModuleNotFoundError as error:
        stop(69, f"Python package '{error.name}' is missing (apt: python3-{error.name}); scripts/reproduce installs all that are "
             "needed")
