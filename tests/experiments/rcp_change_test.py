"""rcp change and rcp kv_noise --change-file: a table against numpy, and what a change does to the simulated rule."""
import json
import math
import os
import pathlib
import statistics
import subprocess

import numpy as np
import pytest

import lowbit_results

BINARY = pathlib.Path(os.environ["LOWBIT_BIN_DIR"]) / "rcp"
HEADER = ["kv", "lag1", "sd", "mean", "from", "to", "sentences"] + [f"q{5 * q}" for q in range(21)]


def rcp(*words, cwd=None):
    return subprocess.run([BINARY, *map(str, words)], capture_output=True, text=True, timeout=120, cwd=cwd)


def trace(name, ranks):
    n = len(ranks)
    return {"format": "rcp-trace-1", "id": name, "vocab_size": 100000, "tok": [1] * n, "rank": ranks, "logp": [-20.0] * n, "end": {"natural": 0, "think_tok": n}}


def write(path, *traces):
    path.write_text("".join(json.dumps(t) + "\n" for t in traces))
    return path


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Four texts with 60 sentences each; one format moves the ranks, with correlated neighbours."""
    rng, traces, pairs = np.random.default_rng(8), [], []
    for text in range(4):
        before = np.round(10 ** rng.uniform(0, 4, 60)).astype(int)
        noise = rng.normal(size=60)
        for k in range(1, 60):
            noise[k] = 0.7 * noise[k - 1] + math.sqrt(1 - 0.49) * noise[k]
        after = np.clip(np.round(before * 10 ** (0.3 * noise)), 1, 100000).astype(int)
        traces += [trace(f"text {text} kv=fp32", before.tolist()), trace(f"text {text} kv=mxfp4", after.tolist()), trace(f"text {text} kv=int8", before.tolist())]
        pairs.append((before, after))
    return write(tmp_path_factory.mktemp("log") / "log.jsonl", *traces), pairs


def rows_of(text):
    lines = text.splitlines()
    assert lines[0].startswith("# ") and lines[1].split("\t") == HEADER
    return [dict(zip(HEADER, line.split("\t"))) for line in lines[2:]]


def expected_lag1(pairs, edges):
    """Ranks within the bins (ties share the mean) as normal scores; correlation of neighbours within a text."""
    x, d, text = (np.concatenate(v) for v in zip(*[(np.log10(b), np.log10(a) - np.log10(b), np.full(len(b), i)) for i, (b, a) in enumerate(pairs)]))
    score = np.zeros(len(x))
    for low, high in zip(edges, edges[1:]):
        inside = np.flatnonzero((x >= low) & (x < high))
        for i in inside:
            below, equal = (d[inside] < d[i] - 1e-12).sum(), (abs(d[inside] - d[i]) <= 1e-12).sum()
            score[i] = statistics.NormalDist().inv_cdf((below + equal / 2) / len(inside))
    near = text[1:] == text[:-1]
    return (score[1:] * score[:-1])[near].mean() / (score ** 2).mean()


def test_the_table_is_what_numpy_finds(log):
    path, pairs = log
    done = rcp("change", path, "--provenance", "made by hand")
    assert done.returncode == 0 and done.stdout.startswith("# made by hand\n"), done.stderr
    rows = rows_of(done.stdout)
    assert [r["kv"] for r in rows if r["from"] == "0"] == ["mxfp4", "int8"]
    x = np.concatenate([np.log10(b) for b, _ in pairs])
    change = np.concatenate([np.log10(a) - np.log10(b) for b, a in pairs])
    edges = [0.0]
    for row in (r for r in rows if r["kv"] == "mxfp4"):
        low, high = float(row["from"]), float(row["to"])
        inside = change[(x >= low) & (x < high)]
        assert low == edges[-1] and len(inside) == int(row["sentences"]) >= 30 and (high - low) % 0.5 == 0
        assert [float(row[f"q{5 * q}"]) for q in range(21)] == pytest.approx(np.quantile(inside, np.linspace(0, 1, 21)).tolist(), abs=6e-5)
        assert float(row["sd"]) == pytest.approx(change.std(), abs=6e-5) and float(row["mean"]) == pytest.approx(change.mean(), abs=6e-5)
        edges.append(high)
    assert sum(int(r["sentences"]) for r in rows if r["kv"] == "mxfp4") == 240
    lag1 = float(rows[0]["lag1"])
    assert lag1 == pytest.approx(expected_lag1(pairs, edges), abs=1e-3) and 0.4 < lag1 < 0.8
    assert all(float(r[c]) == 0 for r in rows if r["kv"] == "int8" for c in ("lag1", "sd", "mean", "q0", "q100"))


def test_more_sentences_a_bin_are_fewer_bins(log):
    few, many = (rows_of(rcp("change", log[0], "--least", n).stdout) for n in (100, 10))
    assert len(few) < len(many) and all(int(r["sentences"]) >= 100 for r in few)


def early(folder, *words):
    done = rcp("kv_noise", "--traces", 300, "--noise", 0, "-o", folder, *words)
    assert done.returncode == 0, done.stderr
    return lowbit_results.open(folder / "rcp/kv_noise.h5")


def test_the_rule_meets_the_measured_change(log, tmp_path):
    table = tmp_path / "change.tsv"
    assert rcp("change", log[0], "-o", table).returncode == 0
    result = early(tmp_path / "runs", "--change-file", table)
    assert [str(v) for v in result["kv"].values] == ["none", "mxfp4", "int8"]
    value = {kv: float(result["early_share"].sel(kv=kv, noise=0).max()) for kv in ("none", "mxfp4", "int8")}
    assert value["int8"] == value["none"] < value["mxfp4"]  # a change of zero is none; one of half a decade stops early
    assert float(result["change_sd"].sel(kv="mxfp4").max()) == pytest.approx(float(rows_of(table.read_text())[0]["sd"]))
    row = result.row("measured change, kv mxfp4 early stops")
    assert "as measured" in row["note"] and row["ours"] == pytest.approx(value["mxfp4"])


@pytest.mark.parametrize("provenance", ["", "#", "a # b"])
def test_every_provenance_is_read_back(log, tmp_path, provenance):
    assert rcp("change", log[0], "--provenance", provenance, "-o", tmp_path / "change.tsv").returncode == 0
    early(tmp_path / "runs", "--change-file", tmp_path / "change.tsv")


def test_a_table_of_more_bins_than_usual_is_kept_whole(tmp_path):
    edges = np.arange(15) * 0.4
    bins = [["mxfp4", 0, 0.1, 0, f"{a:g}", f"{b:g}", 50 + i, *np.linspace(-0.1, 0.1, 21).round(4)] for i, (a, b) in enumerate(zip(edges, edges[1:]))]
    (tmp_path / "t.tsv").write_text("\n".join(["# wide", "\t".join(HEADER), *("\t".join(map(str, row)) for row in bins), ""]))
    result = early(tmp_path / "runs", "--change-file", tmp_path / "t.tsv", "--kv", "mxfp4")
    assert result["change_count"].sel(kv="mxfp4", noise=0).values.ravel().tolist() == [50 + i for i in range(14)]


BAD = [
    ("change", 2, "LOG"),
    ("change none.jsonl", 66, "none.jsonl"),
    ("change plain.jsonl", 65, "nothing to compare"),
    ("change alone.jsonl", 65, "no trace kv=fp32"),
    ("change unnamed.jsonl", 65, "does not end in ' kv=FORMAT'"),
    ("change twice.jsonl", 65, "comes twice"),
    ("change uneven.jsonl", 65, "40 sentences without the change and 39 with it"),
    ("change short.jsonl", 65, "at least 30 are needed"),
    ("change bad.jsonl", 65, "bad.jsonl:2"),
    ("change good.jsonl --least 1", 2, "--least"),
    ("change good.jsonl -o good.jsonl", 73, "--force"),
    ("kv_noise --change-file none.tsv -o runs", 66, "none.tsv"),
    ("kv_noise --change-file good.jsonl -o runs", 65, "good.jsonl:1"),
    ("kv_noise --change-file empty.tsv -o runs", 65, "no measurement"),
    ("kv_noise --change-file columns.tsv -o runs", 65, "columns.tsv:3: 27 columns, expected 28"),
    ("kv_noise --change-file number.tsv -o runs", 65, "'x' is not a number"),
    ("kv_noise --change-file order.tsv -o runs", 65, "do not ascend"),
    ("kv_noise --change-file gap.tsv -o runs", 65, "does not adjoin"),
    ("kv_noise --change-file lag.tsv -o runs", 65, "lag1 is 1"),
    ("kv_noise --kv mxfp9 -o runs", 2, "mxfp9"),
    ("kv_noise --change-file negative.tsv -o runs", 65, "'-5' is not a number of sentences"),
    ("kv_noise --change-file vast.tsv -o runs", 65, "'1e30' is not a number of sentences"),
]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    path = tmp_path_factory.mktemp("bad")
    ranks = list(range(1, 41))
    plain, changed = trace("a kv=fp32", ranks), trace("a kv=mxfp4", ranks)
    write(path / "good.jsonl", plain, changed)
    write(path / "plain.jsonl", plain)
    write(path / "alone.jsonl", changed)
    write(path / "unnamed.jsonl", plain, trace("a", ranks))
    write(path / "twice.jsonl", plain, plain)
    write(path / "uneven.jsonl", plain, trace("a kv=mxfp4", ranks[1:]))
    write(path / "short.jsonl", trace("a kv=fp32", [1, 2]), trace("a kv=mxfp4", [1, 2]))
    write(path / "bad.jsonl", plain, trace("a kv=mxfp4", [0] * 40))
    (path / "empty.tsv").write_text("# nothing\n")
    cells = ["mxfp4", "0.5", "0.1", "0", "0", "2", "40"] + [str(q / 100) for q in range(21)]
    line = {"columns": cells[:-1], "number": cells[:7] + ["x"] + cells[8:], "order": cells[:-1] + ["-1"], "lag": [cells[0], "1", *cells[2:]],
            "negative": cells[:6] + ["-5"] + cells[7:], "vast": cells[:6] + ["1e30"] + cells[7:]}
    for name, one in line.items():
        (path / f"{name}.tsv").write_text("# test\n" + "\t".join(HEADER) + "\n" + "\t".join(one) + "\n")
    (path / "gap.tsv").write_text("# test\n" + "\t".join(HEADER) + "\n" + "\t".join(cells) + "\n" + "\t".join(cells[:4] + ["3", "4"] + cells[6:]) + "\n")
    return path


@pytest.mark.parametrize("words, code, text", BAD, ids=[w for w, _, _ in BAD])
def test_bad_input(workshop, words, code, text):
    before = sorted(os.listdir(workshop))
    done = rcp(*words.split(), cwd=workshop)
    assert done.returncode == code and text in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and not done.stdout
    assert sorted(os.listdir(workshop)) == before
