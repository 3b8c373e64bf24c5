"""rcp log, rcp replay, and lowbit generate with early exit, on tiny models: sentences, ranks against torch, equal decisions."""
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import lowbit_results

SOURCE = pathlib.Path(os.environ["LOWBIT_SOURCE_DIR"])
BIN = os.environ["LOWBIT_BIN_DIR"]
VECTORS = SOURCE / "tests/vectors/model"
sys.path.insert(0, str(SOURCE / "scripts"))
from models.sentences import byte_characters, sentence_ends  # noqa: E402

END = 95
WORDS = [" so", " we", " Wait", " x", "it", " Wait", " Wait,", ".5", "e.g", " Mr"]
STOPS = [".", ". ", "?", "!)", ".\n", "\n\n", "”", " “", " ", "'", ".\"", "…"]
TEXTS = [b"</think>"] + [t.encode() for t in WORDS * 6 + STOPS * 3][:94] + [b"\xe2\x80"]
TEXTS = (TEXTS + [b" y%d" % i for i in range(96)])[:95] + [b"<end>"]


def run(program, *words):
    return subprocess.run([os.path.join(BIN, program), *map(str, words)], capture_output=True, text=True, timeout=300)


def good(program, *words):
    done = run(program, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The model llama3 of the vectors with a byte-level vocabulary full of ends of sentences."""
    path = tmp_path_factory.mktemp("model")
    for name in ("config.json", "model.safetensors"):
        (path / name).write_bytes((VECTORS / "llama3" / name).read_bytes())
    characters = {b: c for c, b in byte_characters().items()}
    # the texts repeat, the entries of a vocabulary do not: those of equal text are added tokens
    vocabulary, added = {}, []
    for number, text in enumerate(TEXTS):
        name = "".join(characters[b] for b in text)
        if name in vocabulary:
            added.append({"id": number, "content": text.decode()})
        else:
            vocabulary[name] = number
    (path / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": vocabulary, "merges": []}, "added_tokens": added}))
    return path


def random_tokens(path, count, seed=1):
    np.save(path, np.random.default_rng(seed).integers(0, 96, count).astype(np.int32))
    return path


def log(folder, tokens, *words):
    return [json.loads(line) for line in good("rcp", "log", "--model", folder, "--tokens", tokens, "--end-token", END, "--context", 60, "--verify", *words).splitlines()]


@pytest.mark.parametrize("wrapped", [False, True])
def test_tokenize_and_rcp_find_the_same_sentences(folder, tmp_path, wrapped):
    tokens = random_tokens(tmp_path / "t.npy", 3000)
    flag = ["--wrapped"] if wrapped else []
    ends = sentence_ends([TEXTS[t] for t in np.load(tokens)], wrapped)
    np.save(tmp_path / "ends.npy", np.array(ends))
    ours = log(folder, tokens, "--kv", "fp32", *flag)
    given = log(folder, tokens, "--kv", "fp32", "--sentences", tmp_path / "ends.npy")
    assert ours == given and len(ends) > 200
    assert np.cumsum([n for trace in ours for n in trace["tok"]]).tolist() == ends
    assert all(sum(t["tok"]) == t["end"]["think_tok"] <= 60 for t in ours)
    places = np.cumsum([n for trace in ours for n in trace["tok"]])[:-1]
    waits = [TEXTS[np.load(tokens)[p]].strip().startswith(b"Wait") for p in places]
    assert [bool(w) for t in ours for w in t["wait"]][:-1] == waits and any(waits)


def test_a_log_passes_check_and_recorded_reads_it(folder, tmp_path):
    path = tmp_path / "log.jsonl"
    good("rcp", "log", "--model", folder, "--tokens", random_tokens(tmp_path / "t.npy", 400), "--end-token", END, "--context", 60, "--windows", 3, "--kv", "fp32,int4:g16:asym,int2:g16:asym", "-o", path)
    traces = [json.loads(line) for line in path.read_text().splitlines()]
    assert [t["id"] for t in traces] == [f"t.{w} kv={f}" for w in range(3) for f in ("fp32", "int4:g16:asym", "int2:g16:asym")]
    assert traces[0]["end_token"] == {"id": END, "text": "<end>"} and traces[0]["vocab_size"] == 96 and traces[0]["end"]["natural"] == 0
    assert traces[0]["rank"] != traces[2]["rank"] and traces[0]["tok"] == traces[2]["tok"]
    for t in traces:  # the rank at a sentence's end is that after its last token
        assert t["rank"] == [t["tok_rank"][i - 1] for i in np.cumsum(t["tok"])]
    assert "9 traces, 0 bad lines" in good("rcp", "check", path)
    good("rcp", "recorded", "--traces-file", path, "-o", tmp_path / "runs")
    result = lowbit_results.open(tmp_path / "runs/rcp/recorded.h5")
    available = {d: float(result["traces_available"].sel(detector=d)) for d in ("rcpd", "token-rank", "logit-boost", "deer")}
    assert available == {"rcpd": 9, "token-rank": 9, "logit-boost": 9, "deer": 0}
    assert 0 < float(result["think_share"].sel(detector="token-rank")) <= 100


def read_tensor(path, name):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        begin, end = header[name]["data_offsets"]
        file.seek(begin, os.SEEK_CUR)
        kind = {"F32": "<f4", "I64": "<i8", "I32": "<i4"}[header[name]["dtype"]]
        return np.frombuffer(file.read(end - begin), kind).reshape(header[name]["shape"])


@pytest.mark.parametrize("family", ["llama3", "qwen3", "smollm", "mistral"])
def test_ranks_against_torch(tmp_path, family):
    """Logits of torch, stored with the vectors: ranks differ by at most the number of logits within 1e-4 of the end token's."""
    tokens, logits = (read_tensor(VECTORS / family / "expected/expected.safetensors", name) for name in ("tokens", "logits"))
    tokens, logits = tokens.reshape(2, -1), logits.reshape(2, -1, 96)
    for text in range(len(tokens)):
        np.save(tmp_path / "t.npy", tokens[text].astype(np.int32))
        np.save(tmp_path / "ends.npy", np.arange(1, len(tokens[text]) + 1))
        for end in (0, 17, 95):
            (trace,) = [json.loads(line) for line in good("rcp", "log", "--model", VECTORS / family, "--tokens", tmp_path / "t.npy", "--sentences", tmp_path / "ends.npy", "--end-token", end, "--context", 16, "--kv", "fp32", "--verify").splitlines()]
            theirs = logits[text].astype(np.float64)
            ranks = 1 + (theirs > theirs[:, end:end + 1]).sum(1)
            near = (abs(theirs - theirs[:, end:end + 1]) <= 1e-4).sum(1)
            assert (abs(np.array(trace["rank"]) - ranks) <= near - 1).all()
            probability = theirs[:, end] - np.log(np.exp(theirs - theirs.max(1, keepdims=True)).sum(1)) - theirs.max(1)
            assert np.allclose(trace["logp"], probability, atol=2e-4)


def need_the_real_model():
    models = pathlib.Path(os.environ.get("LOWBIT_MODELS") or "~/.cache/lowbit/models").expanduser()
    if not (models / "smollm2-135m/config.json").is_file() or not (models / ".venv/bin/python").exists():
        pytest.skip("scripts/get-model smollm2-135m has not been run")


def tokenize(*words):
    return subprocess.run([SOURCE / "scripts/tokenize", *map(str, words)], capture_output=True, text=True, timeout=120)


def test_tokenize_writes_the_ends_of_sentences(tmp_path):
    need_the_real_model()
    text, tokens, ends = tmp_path / "t.txt", tmp_path / "t.npy", tmp_path / "ends.npy"
    parts = ["Dr. Smith said “It’s 3.5, i.e. more.”", " Wait!", " Is it?)", " Ça va…\n", "\nNo: f(x)\n", "the end"]
    text.write_text("".join(parts), encoding="utf-8")
    assert tokenize("smollm2-135m", text, "-o", tokens, "--sentences", ends).returncode == 0
    pieces = [json.loads(line) for line in good("rcp", "log", "--model", "smollm2-135m", "--tokens", tokens, "--sentences", ends, "--end-token", 2, "--kv", "fp32").splitlines()]
    assert pieces[0]["tok"] == np.diff([0, *np.load(ends)]).tolist() and len(np.load(ends)) == len(parts) and pieces[0]["wait"] == [1, 0, 0, 0, 0, 0]
    assert np.load(ends)[-1] == len(np.load(tokens)) and np.load(ends).dtype == np.int64
    again = tokenize("smollm2-135m", text, "-o", tmp_path / "new.npy", "--sentences", ends)
    assert again.returncode == 73 and "--force" in again.stderr and not (tmp_path / "new.npy").exists()
    assert tokenize("smollm2-135m", text, "-o", tokens, "--sentences", tokens, "--force").returncode == 2
    assert tokenize("smollm2-135m", text, "-o", tmp_path / "new.npy", "--wrapped").returncode == 2


def test_ranks_of_the_real_model_against_torch(tmp_path):
    """scripts/oracle/rcp_ranks.py made the vectors; needs scripts/get-model smollm2-135m."""
    need_the_real_model()
    rank, ties, near = np.load(VECTORS / "persuasion_ranks.npy").T
    np.save(tmp_path / "t.npy", np.load(VECTORS / "persuasion_tokens.npy")[:len(rank)])
    (trace,) = [json.loads(line) for line in good("rcp", "log", "--model", "smollm2-135m", "--tokens", tmp_path / "t.npy", "--end-token", 2, "--kv", "fp32", "--verify").splitlines()]
    ours = np.array(trace["tok_rank"])
    assert len(ours) == len(rank) == 512 and trace["end_token"]["text"] == "<|im_end|>"
    assert (abs(ours - rank) <= near - 1).all()
    assert (ours == rank).mean() > 0.8 and len(set(rank)) > 300
    ends = np.cumsum(trace["tok"]) - 1
    assert (abs(np.array(trace["rank"]) - rank[ends]) <= near[ends] - 1).all() and len(ends) > 30


RULES = ["rcpd", "rcpd:scale=2", "rcpd:scale=4", "rcpd:rules=4:scale=2", "rcpd:rules=2:scale=3", "rank:at=9", "token-rank:at=3", "token-rank:at=8", "probability:tau=0.02", "logit-boost:alpha=0.5",
         "deer:threshold=0.05", "deer-geometric:threshold=0.05:trials=2", "consistency:k=2", "budget:tokens=15", "full"]


def thinking(folder, prompt, seed, *words):
    words = ["--model", folder, "--tokens", prompt, "--end-token", END, "--max-tokens", 40, "--temperature", 1.5, "--seed", seed, "--answer-tokens", 1, "--trial-prompt", "", *words]
    return json.loads(good("lowbit", "generate", "--output", "json", *words))


@pytest.mark.parametrize("kv", [None, "int4:g16:asym"])
def test_rules_decide_in_generation_as_on_its_record(folder, tmp_path, kv):
    np.save(tmp_path / "prompt.npy", np.array([5, 9, 94], dtype=np.int32))
    stops, reasons, probes = {rule: 0 for rule in RULES}, set(), 0
    for seed in range(1, 9 if kv is None else 3):
        formats = ["--kv", kv] if kv else []
        record = tmp_path / f"{seed}.jsonl"
        full = thinking(folder, tmp_path / "prompt.npy", seed, "--record", record, "--record-probes", "trial,forced", *formats)
        assert "1 traces, 0 bad lines" in good("rcp", "check", record)
        trace = json.loads(record.read_text())
        assert full["think_tok"] == trace["end"]["think_tok"] == len(full["tokens"]) and full["sentences"] == len(trace["tok"])
        replayed = [json.loads(line) for line in good("rcp", "replay", record, *[w for r in RULES for w in ("--detector", r)], "--output", "json").splitlines()]
        assert [r["rule"] for r in replayed] == RULES
        for rule, stored in zip(RULES, replayed):
            live = thinking(folder, tmp_path / "prompt.npy", seed, "--early-exit", rule, *formats)
            assert (live["stopped_by"], live["sentences"], live["think_tok"]) == (stored["stopped_by"], stored["sentences"], stored["think_tok"]), (rule, seed)
            assert live["tokens"] == full["tokens"][:live["think_tok"]]
            if rule.startswith("consistency"):
                assert live["probe_tok"] == stored["probe_tok"]
                probes += live["probe_tok"]
            stops[rule] += live["stopped_by"] == "detector"
            reasons.add(live["stopped_by"])
    assert probes > 0 and "detector" in reasons and len(reasons) >= (3 if kv is None else 2)
    if kv is None:  # the comparison means something: each rule stops somewhere, none but the trivial ones everywhere
        assert all(count > 0 for rule, count in stops.items() if rule not in ("full", "rcpd")) and stops["full"] == 0, str(stops)


def test_a_record_of_a_stopped_generation_ends_at_the_stop(folder, tmp_path):
    np.save(tmp_path / "prompt.npy", np.array([5, 9, 94], dtype=np.int32))
    full = thinking(folder, tmp_path / "prompt.npy", 1, "--record", tmp_path / "full.jsonl")
    part = thinking(folder, tmp_path / "prompt.npy", 1, "--early-exit", "budget:tokens=10", "--record", tmp_path / "part.jsonl")
    whole, stopped = (json.loads((tmp_path / name).read_text()) for name in ("full.jsonl", "part.jsonl"))
    assert 10 <= part["think_tok"] < full["think_tok"] and stopped["end"]["natural"] == 0
    assert stopped["rank"] == whole["rank"][:len(stopped["rank"])] and stopped["tok_rank"] == whole["tok_rank"][:part["think_tok"]]
    assert len(part["answer_tokens"]) <= 1
    nothing = thinking(folder, tmp_path / "prompt.npy", 1, "--early-exit", "no-think")
    assert nothing["tokens"] == [] and nothing["stopped_by"] == "no thinking" and nothing["answer_tokens"]


LOG = "log --model M --tokens t.npy --end-token 95"
BAD = [
    ("rcp", "log --model M --tokens t.npy", 2, "--end-token"),
    ("rcp", "log --model M --end-token 1", 2, "--tokens"),
    ("rcp", "log --model M --tokens t.npy --end-token 96", 2, "96"),
    ("rcp", "log --model M --tokens t.npy --end-token -1", 2, "-1"),
    ("rcp", "log --model nobody --tokens t.npy --end-token 1", 66, "nobody"),
    ("rcp", LOG + " --context 65", 2, "exceeds the model's context of 64"),
    ("rcp", LOG + " --context 0", 2, "--context"),
    ("rcp", LOG + " --kv mxpf4", 2, "mxpf4"),
    ("rcp", LOG + " --kv fp32,,mxfp4", 2, "empty name"),
    ("rcp", LOG + " --kv mxfp4,mxfp4", 2, "named twice"),
    ("rcp", LOG + " --kv nvfp4", 2, "ts=none or ts=static"),
    ("rcp", LOG + " --kv int4:g16 --kv-transform had:7", 2, "transform size 7"),
    ("rcp", LOG + " --sentences none.npy", 66, "none.npy"),
    ("rcp", LOG + " --sentences down.npy", 65, "sentence 2 ends behind 3 tokens, the one before it behind 5"),
    ("rcp", LOG + " --sentences far.npy", 65, "101"),
    ("rcp", LOG + " --sentences zero.npy", 65, "sentence 1 ends behind 0 tokens"),
    ("rcp", LOG + " --sentences long.npy", 65, "longer than the context"),
    ("rcp", LOG + " --sentences ends.npy --wrapped", 2, "--wrapped"),
    ("rcp", LOG + " -o t.npy", 73, "--force"),
    ("rcp", LOG + " stray", 2, "stray"),
    ("rcp", "replay", 2, "FILE"),
    ("rcp", "replay none.jsonl", 66, "none.jsonl"),
    ("rcp", "replay t.npy --detector rpcd", 2, "unknown detector 'rpcd'"),
    ("rcp", "nosuch", 2, "unknown figure or command 'nosuch'"),
    ("rcp", "chekc", 2, "did you mean 'check'"),
    ("lowbit", "generate --model M --tokens p.npy --early-exit rcpd", 2, "needs --end-token"),
    ("lowbit", "generate --model M --tokens p.npy --end-token 95 --max-tokens 20 --answer-tokens 8 --early-exit rcdp", 2, "unknown detector 'rcdp'"),
    ("lowbit", "generate --model M --tokens p.npy --end-token 96", 2, "96"),
    ("lowbit", "generate --model M --tokens p.npy --end-token 95 --record-probes trial", 2, "needs --record"),
    ("lowbit", "generate --model M --tokens p.npy --end-token 95 --record-probes both --record r.jsonl", 2, "'both'"),
    ("lowbit", "generate --model M --tokens p.npy --end-token 95 --early-exit consistency --answer-tokens 0", 2, "--answer-tokens"),
    ("lowbit", "generate --model M --tokens p.npy --end-token 95 --record t.npy", 73, "--force"),
    ("lowbit", "generate --model M --tokens p.npy --end-token 95 --max-tokens 40", 2, "exceed the model's context of 64"),
]


@pytest.fixture(scope="module")
def workshop(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("bad")
    (path / "M").symlink_to(folder)
    random_tokens(path / "t.npy", 100)
    np.save(path / "p.npy", np.array([5, 9], dtype=np.int32))
    for name, values in {"down": [5, 3], "far": [5, 101], "zero": [0, 3], "long": [5, 90], "ends": [50, 100]}.items():
        np.save(path / f"{name}.npy", np.array(values))
    return path


@pytest.mark.parametrize("program, words, code, text", BAD, ids=[f"{p} {w}" for p, w, _, _ in BAD])
def test_bad_input(workshop, program, words, code, text):
    before = sorted(os.listdir(workshop))
    done = subprocess.run([os.path.join(BIN, program), *words.split()], capture_output=True, text=True, timeout=60, cwd=workshop)
    assert done.returncode == code, done.stderr
    assert text in done.stderr and done.stderr.count("\n") == 1 and done.stdout.count("\n") <= 1
    assert sorted(os.listdir(workshop)) == before
