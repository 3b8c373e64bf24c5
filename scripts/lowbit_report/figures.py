"""Draws result files: plots/<paper>.py has FIGURES, {figure: function of a lowbit_results.Result to a matplotlib figure}."""
import importlib
from pathlib import Path

FORMATS = ("png", "svg", "pdf")


def function_for(name):
    """The drawing function of experiment '<paper>/<figure>', or None if there is none."""
    paper, figure = name.split("/")
    try:
        module = importlib.import_module(f"plots.{paper}")
    except ModuleNotFoundError as error:
        if error.name not in (f"plots.{paper}", "plots"):
            raise
        return None
    return module.FIGURES.get(figure)


def up_to_date(function, file, target):
    """Whether all pictures are newer than the results and the code that draws them."""
    newest = max(Path(function.__code__.co_filename).stat().st_mtime, Path(file).stat().st_mtime)
    pictures = [target.with_suffix(f".{form}") for form in FORMATS]
    return all(picture.is_file() and picture.stat().st_mtime >= newest for picture in pictures)


def not_run(results):
    """An empty panel with the reason why the experiment was not run."""
    import matplotlib.pyplot as plt

    from plots import style

    notes = [row["note"] for row in results.report if row["note"]]
    figure, axes = plt.subplots(figsize=(7, 2.5))
    style.empty_panel(axes, "not run: " + (notes[0] if notes else "what it needs is not there"))
    return figure


def draw(function, file, target):
    """Draws one result file into target.png, .svg and .pdf; equal results give equal bytes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    import lowbit_results

    results = lowbit_results.open(file)
    try:
        figure = function(results)
    except KeyError:  # a figure whose every number needs what is not there (a model): say so where the picture would stand
        if any(row["ours"] is not None for row in results.report):
            raise
        figure = not_run(results)
    with matplotlib.rc_context({"svg.hashsalt": "lowbit", "pdf.fonttype": 42, "ps.fonttype": 42}):
        figure.savefig(target.with_suffix(".png"), dpi=300, metadata={"Software": None})
        figure.savefig(target.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(target.with_suffix(".pdf"), metadata={"CreationDate": None})
    plt.close(figure)
