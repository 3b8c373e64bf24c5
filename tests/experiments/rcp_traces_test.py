"""rcp check, import and export: every kind of bad line is named, good ones survive the way through HDF5 and back."""

import copy
import json
import math
import os
import pathlib
import subprocess

import h5py
import numpy as np
import pytest
import xarray

BINARY = pathlib.Path(os.environ["LOWBIT_BIN_DIR"]) / "rcp"

GOOD = {
    "format": "rcp-trace-1", "id": "a", "model": "m", "dataset": "d", "end_token": {"text": "</think>", "id": 7}, "vocab_size": 100,
    "tok": [3, 4], "rank": [50, 1], "logp": [-6.5, -0.01], "end": {"natural": 1, "think_tok": 7, "content_tok": 9, "ok": 1},
}  # fmt: skip
FULL = GOOD | {
    "id": "ä", "gold": "42", "wait": [0, 1], "stage": [1, 3], "ans": [None, "42"], "ok": [-1, 1], "content_tok": [-1, 5], "conf": [-1, 0.5],
    "conf_geo": [0.25, -1], "boost": [0.5, 0], "ties": [0, 2], "tok_rank": [1, 2, 3, 4, 5, 6, 100], "logp": [None, -0.01], "k_rcp": 2,
}  # fmt: skip
CONTENTS = GOOD | {"id": "c", "content_len": [[3, 4.5], [2]], "content_embedding": [[[0.5, -1, 3], [1, 2, 1e-300]], [[0, 0, 1]]]}


def rcp(*words, cwd=None):
    return subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=120, cwd=cwd)


def changed(**fields):
    trace = copy.deepcopy(GOOD) | fields
    return json.dumps({k: v for k, v in trace.items() if v is not ...})


def end(**fields):
    return changed(end={k: v for k, v in (GOOD["end"] | fields).items() if v is not ...})


GOOD_LINE = json.dumps(GOOD)
# bytes of the bad line, the field that must be named ("" where it is no trace at all), what the message must hold
BAD = {
    "rank 0": (changed(rank=[0, 1]), "rank", "0 is outside [1"),
    "negative rank": (changed(rank=[-3, 1]), "rank", "-3"),
    "rank above the vocabulary": (changed(rank=[101, 1]), "rank", "rank[0] is 101; accepted: 1 to vocab_size 100"),
    "rank beyond 32 bits": (changed(rank=[2**40, 1]), "rank", str(2**40)),
    "rank as a real number": (changed(rank=[50.5, 1]), "rank", "not an integer"),
    "logp above 0": (changed(logp=[0.5, -0.01]), "logp", "logp[0] is 0.5"),
    "logp above -ln(rank)": (changed(logp=[-3.9, -0.01]), "logp", "above -ln(rank) = -3.912023"),
    "logp NaN": (GOOD_LINE.replace("-6.5", "NaN"), "", "no JSON"),
    "logp as text": (changed(logp=["x", -0.01]), "logp", "not a number"),
    "sum of tokens off": (changed(tok=[3, 5]), "end", "sum of tok is 8, end.think_tok is 7"),
    "sentence without tokens": (changed(tok=[0, 7]), "tok", "0"),
    "decreasing stages": (changed(stage=[2, 1]), "stage", "stage[1] is 1 after 2"),
    "stage 4": (changed(stage=[2, 4]), "stage", "4"),
    "missing end": (changed(end=...), "end", "missing"),
    "end without natural": (end(natural=...), "end", "end.natural is missing"),
    "end without tokens": (end(think_tok=...), "end", "end.think_tok is missing"),
    "outcome 2": (end(ok=2), "end.ok", "2"),
    "another format": (changed(format="rcp-trace-2"), "format", "accepted: 'rcp-trace-1'"),
    "no format": (changed(format=...), "format", "missing"),
    "no vocabulary": (changed(vocab_size=...), "vocab_size", "missing"),
    "lengths differ": (changed(rank=[50]), "rank", "rank has 1 entries, tok has 2"),
    "optional field too short": (changed(wait=[1]), "wait", "wait has 1 entries"),
    "no sentence": (changed(tok=[], rank=[], logp=[]), "tok", "empty"),
    "a number for an array": (changed(tok=7), "tok", "not an array"),
    "confidence above 1": (changed(conf=[0.5, 1.5]), "conf", "conf[1] is 1.5"),
    "negative boost": (changed(boost=[-0.5, 1]), "boost", "boost[0] is -0.5"),
    "k_rcp behind the trace": (changed(k_rcp=3), "k_rcp", "accepted: 0 (unknown) to 2"),
    "token ranks too few": (changed(tok_rank=[1, 2]), "tok_rank", "tok_rank has 2 entries"),
    "contents without lengths": (changed(content_embedding=[[[1]], [[2]]]), "content_len", "content_len[0] has 0 samples"),
    "contents without embeddings": (changed(content_len=[[1], [2]]), "content_len", "content_embedding[0] 0"),
    "contents of too few sentences": (changed(content_len=[[1]], content_embedding=[[[1]]]), "content_len", "content_len has 1 entries"),
    "one more length": (changed(content_len=[[1, 2], [2]], content_embedding=[[[1]], [[2]]]), "content_len", "content_len[0] has 2 samples"),
    "embeddings of two sizes": (changed(content_len=[[1], [2]], content_embedding=[[[1]], [[2, 3]]]), "content_embedding", "2 numbers, the first has 1"),
    "empty embedding": (changed(content_len=[[1], [2]], content_embedding=[[[]], [[]]]), "content_embedding", "0 numbers"),
    "negative length": (changed(content_len=[[-1], [2]], content_embedding=[[[1]], [[2]]]), "content_len", "negative"),
    "a number for an embedding": (changed(content_len=[[1], [2]], content_embedding=[[1], [2]]), "content_embedding", "not an array"),
    "field given twice": (GOOD_LINE.replace('"rank":', '"rank": [1, 1], "rank":'), "rank", "given twice"),
    "truncated line": (GOOD_LINE[:60], "", "no JSON"),
    "two objects": (GOOD_LINE + GOOD_LINE, "", "no JSON"),
    "an array": ("[1, 2]", "", "not a JSON object"),
    "not UTF-8": (GOOD_LINE.encode().replace(b'"a"', b'"\xff"'), "", "no JSON"),
    "binary": (b"\x00\x01\x02\xff", "", "no JSON"),
    "nested without end": ("[" * 5000, "", "no JSON"),
}  # fmt: skip


def lines(*parts):
    return b"".join((p if isinstance(p, bytes) else p.encode()) + b"\n" for p in parts)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_named_and_the_others_are_read(tmp_path, name):
    line, field, text = BAD[name]
    path = tmp_path / "t.jsonl"
    path.write_bytes(lines(GOOD_LINE, line, GOOD_LINE))
    done = rcp("check", path.name, cwd=tmp_path)
    assert done.returncode == 65
    assert done.stderr.startswith("t.jsonl:2: " + (f"field '{field}': " if field else "the line ")) and done.stderr.count("\n") == 1
    assert text in done.stderr
    assert done.stdout.startswith("t.jsonl: 2 traces, 1 bad lines\n")


def test_every_bad_line_of_a_file_is_reported_whatever_the_threads(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(lines(*(part for line, _, _ in BAD.values() for part in (GOOD_LINE, line))) + GOOD_LINE[:70].encode())
    answers = [rcp("check", path, "--threads", str(t)) for t in (1, 2, 5)]
    assert {a.returncode for a in answers} == {65}
    assert answers[0].stderr.count("\n") == len(BAD) + 1  # and the truncated last line
    assert len({a.stderr for a in answers}) == len({a.stdout for a in answers}) == 1
    counts = json.loads(rcp("check", path, "--output", "json").stdout)
    assert (counts["traces"], counts["bad_lines"]) == (len(BAD), len(BAD) + 1)


def test_a_gigantic_line_is_counted_not_loaded(tmp_path):
    path = tmp_path / "t.jsonl"
    with path.open("wb") as file:
        file.write(lines(GOOD_LINE))
        for _ in range(80):
            file.write(b"[" * (1 << 20))
        file.write(b"\n" + lines(GOOD_LINE))
    done = subprocess.run(["/usr/bin/env", "bash", "-c", f"ulimit -v 1500000; exec '{BINARY}' check '{path}' --max-line 1000000 --threads 1"], capture_output=True, text=True)
    assert done.returncode == 65
    assert f"{path}:2: the line is longer than 1000000 bytes" in done.stderr
    assert "2 traces, 1 bad lines" in done.stdout


@pytest.mark.parametrize("content, text", [(b"", "is empty"), (b"\n \n", "blank lines alone")])
def test_files_without_traces_are_refused(tmp_path, content, text):
    path = tmp_path / "t.jsonl"
    path.write_bytes(content)
    for words in (("check", path), ("import", path, "-o", tmp_path / "t.h5")):
        done = rcp(*words)
        assert done.returncode == 65 and text in done.stderr and not done.stdout
    assert os.listdir(tmp_path) == ["t.jsonl"]


def test_the_file_may_be_named_as_the_figures_name_it(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(lines(GOOD_LINE))
    assert rcp("check", "--traces-file", path).stdout == rcp("check", path).stdout != ""
    assert rcp("import", "--traces-file", path, "-o", tmp_path / "t.h5").returncode == 0
    assert rcp("label", "--traces-file", tmp_path / "t.h5").returncode == 0
    twice, none = rcp("check", path, "--traces-file", path), rcp("check")
    assert twice.returncode == none.returncode == 2 and "given twice" in twice.stderr and "FILE is expected" in none.stderr


@pytest.mark.parametrize("words", [["check"], ["replay"], ["label"]])
def test_a_pipe_is_read_from_its_first_byte(tmp_path, words):
    """Enough traces that the pipe holds the file's beginning only once."""
    path = tmp_path / "t.jsonl"
    path.write_bytes(lines(*(changed(id=f"t{i}") for i in range(5))))
    piped = subprocess.run(["bash", "-c", f"cat '{path}' | '{BINARY}' {' '.join(words)} /dev/stdin"], capture_output=True, text=True)
    direct = rcp(*words, path)
    assert (piped.returncode, piped.stdout) == (0, direct.stdout.replace(str(path), "/dev/stdin"))
    assert "t0" in direct.stdout or "5 traces, 0 bad lines" in direct.stdout


def test_recorded_reads_a_pipe_whole(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(lines(*(changed(id=f"t{i}") for i in range(5))))
    done = subprocess.run(["bash", "-c", f"cat '{path}' | '{BINARY}' recorded --traces-file /dev/stdin -o '{tmp_path}'"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with xarray.open_dataset(tmp_path / "rcp/recorded.h5") as data:
        assert float(data["traces_available"].sel(detector="full")) == 5


def test_without_traces_the_figure_says_how_to_give_them(tmp_path):
    done = rcp("recorded", "-o", tmp_path)
    assert done.returncode == 0 and "give --traces-file FILE" in done.stdout


def test_wrong_encoding_and_other_files(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(GOOD_LINE + "\n", encoding="utf-16")
    assert rcp("check", path).returncode == 65
    assert rcp("check", tmp_path / "none.jsonl").returncode == 66
    assert rcp("check", tmp_path).returncode in (65, 66)
    assert rcp("check").returncode == 2
    assert rcp("export").returncode == 2
    assert rcp("export", "--profile", "gpt").returncode == 2
    assert rcp("import", path).returncode == 2


def imported(tmp_path, *traces):
    source, target = tmp_path / "in.jsonl", tmp_path / "t.h5"
    source.write_bytes(lines(*(json.dumps(t, ensure_ascii=False) for t in traces)))
    done = rcp("import", source, "-o", target)
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.parametrize("field, value", [("k_rcp", 2**32 + 5), ("k_rcp", 2**32 + 1), ("end_ok", 257), ("end_natural", 2), ("simulated", 256), ("has_wait", 3)])
def test_numbers_that_a_field_cannot_hold_are_refused(tmp_path, field, value):
    target = imported(tmp_path, GOOD, FULL)
    assert rcp("check", target).returncode == 0
    with h5py.File(target, "r+") as file:
        file[field][1] = value % 256 if field.startswith("has_") else value
    done = rcp("check", target)
    assert done.returncode == 65 and field in done.stderr and str(value) in done.stderr, done.stderr


def test_every_field_survives_hdf5(tmp_path):
    others = FULL | {"id": "b", "ans": ["", None], "stage": [0, 0], "tok_rank": [9] * 7}
    wider = GOOD | {"id": "w", "content_len": [[1], [2, 3, 4]], "content_embedding": [[[1, 2]], [[3, 4], [5, 6], [7, 8]]]}
    target = imported(tmp_path, GOOD, FULL, GOOD | {"id": ""}, others, CONTENTS, wider)
    done = rcp("export", target)
    assert done.returncode == 0
    back = [json.loads(line) for line in done.stdout.splitlines()]
    assert back == [GOOD, FULL, {k: v for k, v in GOOD.items() if k != "id"}, others, CONTENTS, wider]


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_xarray_opens_the_hdf5_form(tmp_path, engine):
    with xarray.open_dataset(imported(tmp_path, GOOD, FULL), engine=engine) as data:
        assert dict(data.sizes) == {"trace": 2, "sentence": 4, "text": 5, "token": 7}
        one = data.sel(trace="ä")
        first = int(one["offset"])
        assert data["rank"].values[first : first + int(one["sentences"])].tolist() == [50, 1]
        assert math.isinf(data["logp"].values[2]) and data["has_wait"].values.tolist() == [0, 1]
        assert str(data["text"].values[data["ans"].values[3]]) == "42" and data["ans"].values[:3].tolist() == [-1, -1, -1]
        assert np.isnan(data["boost"].values[0])


def test_the_hdf5_form_is_as_documented(tmp_path):
    """Every dataset stands in results/schema.md with its type and dims, and every documented one is written."""
    part = (pathlib.Path(os.environ["LOWBIT_SOURCE_DIR"]) / "results/schema.md").read_text().split("## Datasets of a trace file\n")[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("| `")]
    documented = {name.strip("`"): (row[1], row[2].split(", ")) for row in rows for name in row[0].split(", ")}
    seen = set()
    with h5py.File(imported(tmp_path, GOOD, FULL, CONTENTS)) as file:
        for name, item in file.items():
            key = next(k for k in documented if k == name or (k.endswith("*") and name.startswith(k[:-1])))
            seen.add(key)
            kind, dims = documented[key]
            assert kind == ("characters" if item.dtype.kind == "S" else item.dtype.name), name
            if dims not in (["themselves"], ["itself"]):
                assert item.attrs["dims"].decode().split() == dims, name
        assert file.attrs["schema_version"].tolist() == [1, 1] and file["content_embedding"].shape == (6, 2, 3)
    assert seen == set(documented)


def test_xarray_reads_sampled_contents(tmp_path):
    with xarray.open_dataset(imported(tmp_path, GOOD, CONTENTS)) as data:
        assert data["content_embedding"].dims == ("sentence", "sample", "dim")
        assert data["content_embedding"].values[2].tolist() == [[0.5, -1, 3], [1, 2, 1e-300]]
        assert data["content_len"].values[3, 0] == 2 and np.isnan(data["content_len"].values[3, 1]) and np.isnan(data["content_len"].values[0]).all()


def test_many_traces_pass_through_small_buffers(tmp_path):
    """More than one block of every column, with fields that come and go."""
    rng = np.random.default_rng(2)
    source, target, back = tmp_path / "in.jsonl", tmp_path / "t.h5", tmp_path / "back.jsonl"
    assert rcp("export", "--profile", "qwen3-8b", "--traces", "700", "-o", source).returncode == 0
    lines_in = [json.loads(line) for line in source.read_text().splitlines()]
    for trace in lines_in:
        if rng.random() < 0.3:
            del trace["conf"]
        if rng.random() < 0.3:
            trace["tok_rank"] = rng.integers(1, 100000, sum(trace["tok"])).tolist()
        if rng.random() < 0.5:
            del trace["ans"]
    source.write_text("".join(json.dumps(t) + "\n" for t in lines_in))
    assert rcp("import", source, "-o", target).returncode == 0
    assert rcp("export", target, "-o", back).returncode == 0
    assert [json.loads(line) for line in back.read_text().splitlines()] == lines_in


def test_import_needs_a_file_that_it_can_read_twice(tmp_path):
    done = subprocess.run(f"cat /dev/null | '{BINARY}' import /dev/stdin -o '{tmp_path}/t.h5'", shell=True, capture_output=True, text=True)
    assert done.returncode == 66 and "read twice" in done.stderr and not os.listdir(tmp_path)


def test_simulated_traces_go_both_ways(tmp_path):
    first, second, stored = tmp_path / "a.jsonl", tmp_path / "b.jsonl", tmp_path / "t.h5"
    assert rcp("export", "--profile", "qwen3-8b-gpqa", "--traces", "40", "--seed", "3", "-o", first).returncode == 0
    assert rcp("check", first).returncode == 0
    assert rcp("import", first, "-o", stored).returncode == 0
    assert rcp("export", stored, "-o", second).returncode == 0
    assert first.read_bytes() == second.read_bytes() and first.read_bytes().count(b"\n") == 40
    assert rcp("check", stored).stdout.splitlines()[1:] == rcp("check", first).stdout.splitlines()[1:]


def test_labels_come_from_forced_answers_and_known_ones_stay(tmp_path):
    path = tmp_path / "t.jsonl"
    traces = [GOOD | {"ans": ["1", "42"]}, GOOD | {"ans": ["42", None]}, GOOD, GOOD | {"ans": ["42", "42"], "k_rcp": 2}]
    path.write_bytes(lines(*map(json.dumps, traces)))
    done = rcp("label", path)
    assert done.returncode == 0 and "4 traces, 2 of them labelled" in done.stderr
    assert [json.loads(line).get("k_rcp", 0) for line in done.stdout.splitlines()] == [2, 1, 0, 2]
    assert [{k: v for k, v in json.loads(line).items() if k != "k_rcp"} for line in done.stdout.splitlines()] == [{k: v for k, v in t.items() if k != "k_rcp"} for t in traces]


def settled(at, sentences=40, samples=20, dim=4):
    """Contents whose distribution settles at sentence `at`, their length two sentences later."""
    rng = np.random.default_rng(4)
    return [rng.normal(6 - 0.3 * k if k < at else 0, 1, (samples, dim)).tolist() for k in range(1, sentences + 1)], [(500 - 10 * min(k, at + 1) + rng.normal(0, 0.2, samples)).tolist() for k in range(1, sentences + 1)]


def test_labels_come_from_sampled_contents_before_answers(tmp_path):
    path, stored = tmp_path / "t.jsonl", tmp_path / "t.h5"
    embeddings, lengths = settled(15)
    n = len(lengths)
    trace = GOOD | {"tok": [1] * n, "rank": [5] * n, "logp": [-3.0] * n, "end": GOOD["end"] | {"think_tok": n}, "ans": ["1"] * n, "content_embedding": embeddings, "content_len": lengths}
    path.write_bytes(lines(json.dumps(trace), json.dumps({k: v for k, v in trace.items() if not k.startswith("content")})))
    assert rcp("import", path, "-o", stored).returncode == 0
    for file in (path, stored):
        done = rcp("label", file, "--slack", "1.5")
        found = [json.loads(line)["k_rcp"] for line in done.stdout.splitlines()]
        assert done.returncode == 0 and 17 <= found[0] <= 19 and found[1] == 1
    for words in (["--axes", "0"], ["--tail", "1"], ["--slack", "0.5"], ["--regularizer", "0"]):
        assert rcp("label", path, *words).returncode == 2
    path.write_bytes(lines(json.dumps(trace | {"content_embedding": [[[1.0] * 4] * 20] * n})))
    done = rcp("label", path)
    assert done.returncode == 65 and "all embeddings are equal" in done.stderr


def test_nothing_is_overwritten_unasked(tmp_path):
    target = imported(tmp_path, GOOD)
    before = target.read_bytes()
    for words in (("import", tmp_path / "in.jsonl", "-o", target), ("export", target, "-o", tmp_path / "in.jsonl"), ("export", "--profile", "qwen3-8b", "-o", target)):
        done = rcp(*words)
        assert done.returncode == 73 and "--force" in done.stderr
    assert target.read_bytes() == before and sorted(os.listdir(tmp_path)) == ["in.jsonl", "t.h5"]
    assert rcp("import", tmp_path / "in.jsonl", "-o", target, "--force").returncode == 0
    assert target.read_bytes() == before


def test_import_leaves_bad_lines_out_and_says_so(tmp_path):
    source, target = tmp_path / "in.jsonl", tmp_path / "t.h5"
    source.write_bytes(lines(GOOD_LINE, changed(rank=[0, 1]), changed(gold="x" * 5000), changed(gold="a\0b"), GOOD_LINE))
    done = rcp("import", source, "-o", target)
    assert done.returncode == 65
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == ["2", "3", "4"]
    with h5py.File(target) as file:
        assert file.attrs["skipped_lines"] == 3 and len(file["vocab_size"]) == 2


@pytest.mark.parametrize("name, index, value, text", [
    ("rank", 0, 101, "vocab_size"), ("offset", 1, 4, "sentences 4 to 6 of 4"), ("sentences", 0, 3, "sum of tok is 10"), ("ans", 3, 9, "text 9 is named"), ("offset", 0, -1, "offset is -1"),
    ("content_tok", 3, 2**40, "too large"), ("end_ok", 0, 5, "end.ok"),
])  # fmt: skip
def test_a_changed_hdf5_file_is_refused(tmp_path, name, index, value, text):
    target = imported(tmp_path, GOOD, FULL)
    with h5py.File(target, "r+") as file:
        file[name][index] = value
    done = rcp("export", target, "-o", tmp_path / "out.jsonl")
    assert done.returncode == 65 and not (tmp_path / "out.jsonl").exists()
    assert done.stderr.count("\n") == 1 and (text in done.stderr), done.stderr


def test_other_hdf5_files_are_refused(tmp_path):
    target = imported(tmp_path, GOOD)
    data = target.read_bytes()
    (tmp_path / "half.h5").write_bytes(data[: len(data) // 2])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["rank"] = np.arange(3)
    with h5py.File(target, "r+") as file:
        del file["rank"]
    for name in ("half.h5", "other.h5", "t.h5"):
        done = rcp("check", tmp_path / name)
        assert done.returncode == 65 and done.stderr.count("\n") == 1, done.stderr
