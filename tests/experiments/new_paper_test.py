"""A new paper is three files and touches no list: one is made from the template in a copy of the sources, built, run."""
import os
import pathlib
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(os.environ["LOWBIT_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["LOWBIT_BIN_DIR"]).parent


def tree(folder):
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def copy_sources(to):
    """What a build needs, without build folders, results and data of tests."""
    skip = shutil.ignore_patterns("build*", ".git", "runs", "__pycache__", "vectors", "*.npz")
    for name in ("CMakeLists.txt", "cmake", "formats", "sim", "results", "experiments", "scripts", "tests"):
        source = SOURCE / name
        shutil.copytree(source, to / name, ignore=skip) if source.is_dir() else shutil.copy(source, to / name)


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=1500, **more)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_paper_from_the_template_is_three_files(tmp_path):
    sources, build = tmp_path / "sources", tmp_path / "build"
    sources.mkdir()
    copy_sources(sources)
    before = tree(sources)
    made = [pathlib.Path(line) for line in run(sources / "scripts/dev/new-paper", "new_paper", "A new paper").splitlines()]
    after = tree(sources)
    assert {p: t for p, t in after.items() if p in before} == before  # nothing else changes
    assert sorted(set(after) - set(before)) == sorted(str(p.relative_to(sources)) for p in made)
    assert len(made) == 3
    # a second one of the name is refused
    again = subprocess.run([sources / "scripts/dev/new-paper", "new_paper"], capture_output=True, text=True)
    assert again.returncode == 73 and "not replaced" in again.stderr
    assert subprocess.run([sources / "scripts/dev/new-paper", "New-Paper"], capture_output=True).returncode == 2

    # the layers are compiled already: the archives of this build serve, the paper goes through the build files as ever
    run("cmake", "-S", sources, "-B", build, f"-DLOWBIT_PREBUILT={BUILD}")
    run("cmake", "--build", build, "--target", "new_paper")
    report = run(build / "bin/new_paper", "--quick", "-o", tmp_path / "runs")
    assert "mse_8_bits_over_theory" in report and "within" in report

    sys.path[:0] = [str(sources / "scripts"), str(sources / "scripts/plots")]
    import matplotlib

    matplotlib.use("Agg")
    import lowbit_results
    import new_paper

    figure = new_paper.rounding(lowbit_results.open(tmp_path / "runs/new_paper/rounding.h5"))
    assert figure.axes[0].get_xlabel() == "bits"


def test_every_paper_has_its_three_files():
    papers = sorted(p.stem for p in (SOURCE / "experiments/papers").glob("*.cpp"))
    assert papers
    for paper in papers:
        assert (SOURCE / f"tests/experiments/{paper}_test.cpp").is_file(), paper
        assert (SOURCE / f"scripts/plots/{paper}.py").is_file(), paper


def test_the_revision_is_unknown_outside_a_repository(tmp_path):
    header = tmp_path / "version.hpp"
    command = ["cmake", f"-DSOURCE_DIR={tmp_path}", f"-DOUTPUT={header}", "-DVERSION=1", "-P", SOURCE / "cmake/version.cmake"]
    run(*command)
    assert '#define LOWBIT_GIT_SHA "unknown"' in header.read_text()
    written = header.stat().st_mtime_ns
    run(*command)
    assert header.stat().st_mtime_ns == written  # nothing is compiled again for nothing
    run("git", "init", "-q", tmp_path)
    run("git", "-C", tmp_path, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "--allow-empty", "-m", "m")
    run(*command)
    sha = run("git", "-C", tmp_path, "rev-parse", "HEAD").strip()
    assert sha in header.read_text() and "LOWBIT_GIT_DIRTY 0" in header.read_text()
    (tmp_path / "below").mkdir()
    run("cmake", f"-DSOURCE_DIR={tmp_path / 'below'}", *command[2:])
    assert "unknown" in header.read_text()  # sources unpacked inside another repository are not its revision
