"""rcp recorded: rules on traces from a file, against a second implementation and hand-made traces."""

import json
import os
import pathlib
import random
import subprocess

import numpy as np
import pytest

import lowbit_results

BINARY = pathlib.Path(os.environ["LOWBIT_BIN_DIR"]) / "rcp"


def rcp(*words):
    return subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=120)


def recorded(folder, file, *words):
    done = rcp("recorded", "--traces-file", file, "-o", folder, "--force", *words)
    assert done.returncode == 0, done.stderr
    return lowbit_results.open(folder / "rcp" / "recorded.h5")


def value(result, output, detector):
    return float(result[output].sel(detector=detector))


def write(path, traces):
    path.write_text("".join(json.dumps(t) + "\n" for t in traces))
    return path


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    path = tmp_path_factory.mktemp("traces") / "t.jsonl"
    assert rcp("export", "--profile", "qwen3-8b", "--traces", "150", "-o", path).returncode == 0
    return path, [json.loads(line) for line in path.read_text().splitlines()]


def rcpd_stop(rank):
    """The four rules as the paper's appendix C prints them; sentences thought."""
    for t in range(len(rank) - 1):  # at the last sentence the trace ends by itself
        back = rank[: t + 1][::-1]
        immediate = back[0] <= 5
        progressive = len(back) >= 4 and back[0] <= 10 and back[1] <= 50 and back[2] <= 100 and back[3] <= 1000
        short = len(back) >= 3 and max(back[:3]) <= 20
        long = len(back) >= 6 and max(back[:6]) <= 50
        if immediate or progressive or short or long:
            return t + 1
    return len(rank)


def test_rcpd_equals_a_second_implementation(tmp_path, simulated):
    path, traces = simulated
    result = recorded(tmp_path, path)
    stops = [rcpd_stop(t["rank"]) for t in traces]
    right = [t["end"]["ok"] if s == len(t["tok"]) else t["ok"][s - 1] for t, s in zip(traces, stops)]
    share = 100 * sum(sum(t["tok"][:s]) for t, s in zip(traces, stops)) / sum(sum(t["tok"]) for t in traces)
    assert value(result, "think_share", "rcpd") == pytest.approx(share, rel=1e-12)
    assert value(result, "accuracy", "rcpd") == pytest.approx(100 * np.mean(right), rel=1e-12)
    early = [s < t["k_rcp"] for t, s in zip(traces, stops) if t.get("k_rcp")]
    assert value(result, "early_share", "rcpd") == pytest.approx(100 * np.mean(early), rel=1e-12)
    assert value(result, "think_share", "full") == 100
    assert value(result, "traces_available", "oracle") == sum(bool(t.get("k_rcp")) for t in traces)
    # the whole cost, answers included
    total = sum(sum(t["tok"][:s]) + (t["end"]["content_tok"] if s == len(t["tok"]) else t["content_tok"][s - 1]) for t, s in zip(traces, stops))
    full = sum(sum(t["tok"]) + t["end"]["content_tok"] for t in traces)
    assert value(result, "total_share", "rcpd") == pytest.approx(100 * total / full, rel=1e-12)


def test_order_and_form_of_the_file_do_not_matter(tmp_path, simulated):
    path, traces = simulated
    first = recorded(tmp_path / "a", path).dataset
    shuffled = list(traces)
    random.Random(1).shuffle(shuffled)
    second = recorded(tmp_path / "b", write(tmp_path / "s.jsonl", shuffled)).dataset
    for name in first.data_vars:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-12, err_msg=name)
    assert rcp("import", path, "-o", tmp_path / "t.h5").returncode == 0
    assert recorded(tmp_path / "c", tmp_path / "t.h5").dataset.equals(first)


def trace(name, rank, end_ok, **fields):
    n = len(rank)
    logp = [float(-np.log(max(r, 1))) - 0.5 for r in rank]
    return {"format": "rcp-trace-1", "id": name, "vocab_size": 1000, "tok": [10] * n, "rank": rank, "logp": logp, "end": {"natural": 1, "think_tok": 10 * n, "ok": end_ok}} | fields


def test_unknown_outcomes_are_bounded_and_missing_signals_said(tmp_path):
    traces = [
        trace("a", [900, 3, 900, 900], 1, ok=[0, 1, -1, 1]),  # RCPD stops after 2 sentences, right
        trace("b", [900, 900, 2, 900], 1, ok=[0, 0, 0, 1], k_rcp=4),  # after 3, wrong, early
        trace("c", [4, 900, 900, 900], 0),  # after 1, unknown
        trace("d", [900, 900, 900, 1], 1, tok_rank=[500] * 3 + [5] + [500] * 36),  # never: the last sentence is the end
    ]
    result = recorded(tmp_path, write(tmp_path / "t.jsonl", traces))
    expected = {"traces_available": 4, "traces_known": 3, "think_share": 62.5, "accuracy": 200 / 3, "accuracy_worst": 50, "accuracy_best": 75, "stopped": 75, "early_share": 100}
    for name, number in expected.items():
        assert value(result, name, "rcpd") == pytest.approx(number), name
    assert np.isnan(value(result, "total_share", "rcpd"))  # no answer's length is known
    # the rule that looks at every token: one trace, stopped inside a sentence, where no outcome is known
    for name, number in {"traces_available": 1, "traces_known": 0, "think_share": 10, "accuracy_worst": 0, "accuracy_best": 100}.items():
        assert value(result, name, "token-rank") == pytest.approx(number), name
    for detector in ("deer", "deer-geometric", "consistency", "logit-boost"):
        assert value(result, "traces_available", detector) == 0
        row = result.row(f"{detector} accuracy")
        assert row["ours"] is None and row["verdict"] == "not_run" and "not available" in row["note"]
    assert value(result, "traces_available", "oracle") == 1


def test_forced_answers_are_charged_or_refused(tmp_path):
    answers = {"ans": ["7"] * 12, "wait": [0] * 12}
    charged = trace("a", [900] * 12, 1, content_tok=[3] * 12, ok=[1] * 12, **answers)
    unknown = trace("b", [900] * 12, 1, content_tok=[3] * 11 + [-1], ok=[1] * 12, **answers)
    result = recorded(tmp_path, write(tmp_path / "t.jsonl", [charged, unknown]), "--detector", "full,consistency:k=10")
    assert value(result, "traces_available", "consistency:k=10") == 1
    assert value(result, "think_share", "consistency:k=10") == pytest.approx(100 * (100 + 30) / 120)


def test_bad_files_are_refused(tmp_path):
    path = write(tmp_path / "t.jsonl", [trace("a", [9, 9], 1), trace("b", [0, 9], 1)])
    for file, code, text in ((path, 65, "1 bad lines, the first is line 2"), (tmp_path / "none", 66, "none"), (tmp_path, 66, str(tmp_path))):
        done = rcp("recorded", "--traces-file", file, "-o", tmp_path / "out")
        assert done.returncode == code and text in done.stderr, done.stderr
        assert not list((tmp_path / "out").rglob("*.h5"))


def test_without_a_file_it_says_how_to_give_one(tmp_path):
    done = rcp("recorded", "-o", tmp_path)
    assert done.returncode == 0
    assert lowbit_results.open(tmp_path / "rcp" / "recorded.h5").status == "not_run"


def test_replay_of_a_missing_file_leaves_standard_output_empty(tmp_path):
    done = rcp("replay", tmp_path / "none.jsonl")
    assert done.returncode == 66 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "none.jsonl" in done.stderr


def test_an_error_names_a_typed_option_once():
    done = rcp("fit", "--train-traces", "many")
    assert done.returncode == 2 and "--train-traces: 'many'" in done.stderr, done.stderr
