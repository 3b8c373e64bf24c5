"""The verbs eval, capture and generate on tiny models: keys, files, bad input."""
import json
import math
import os
import pathlib
import signal
import subprocess
import time

import h5py
import numpy as np
import pytest

LOWBIT = os.path.join(os.environ["LOWBIT_BIN_DIR"], "lowbit")
VECTORS = pathlib.Path(os.environ["LOWBIT_SOURCE_DIR"]) / "tests/vectors/model"
MODEL = str(VECTORS / "llama3")


def lowbit(*words):
    return subprocess.run([LOWBIT, *map(str, words)], capture_output=True, text=True, timeout=120)


def refused(code, text, *words):
    result = lowbit(*words)
    assert result.returncode == code, result.stderr
    assert text in result.stderr
    assert result.stderr.count("\n") == 1 and result.stdout == ""


def values_file(folder):
    """A .npy file whose name is no UTF-8."""
    path = os.fsencode(folder) + b"/x\xff.npy"
    with open(path, "wb") as file:
        np.save(file, np.ones(4, np.float32))
    return path


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens.npy"
    np.save(path, np.random.default_rng(3).integers(0, 96, 200).astype(np.int64))
    return path


def evaluate(tokens, *words):
    result = lowbit("eval", "--model", MODEL, "--tokens", tokens, "--context", 32, "--output", "json", *words)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), result.stderr


def test_eval_has_the_documented_keys(tokens):
    out, _ = evaluate(tokens, "--weights", "mxfp4", "--activations", "mxfp8_e4m3", "--kv", "int8:g16:s=fp16")
    for key in ("perplexity", "kl_top25", "kl_full", "rms_delta_p", "same_top"):
        assert out[key] >= 0 and out[key + "_stderr"] >= 0
    assert list(out["kl_quantiles"]) == ["min", "q1", "median", "q3", "max"]
    assert out["windows"] == 6 and out["tokens"] == 192 and out["tokens_scored"] == 186  # 8 tokens are dropped
    assert out["bits_weight"] == pytest.approx(4 + 8 / 32, abs=0.02) and out["bits_activation"] == pytest.approx(8.25, abs=0.05)
    assert out["bits_kv"] == 9 and out["seconds"] > 0
    assert out["kl_top25"] < out["kl_full"] * 1.5


def test_eval_without_formats_compares_nothing(tokens):
    out, _ = evaluate(tokens)
    assert "kl_full" not in out and out["bits_weight"] == 32
    plain = out["perplexity"]
    out, _ = evaluate(tokens, "--weights", "fp32", "--activations", "fp32")
    assert out["kl_full"] == pytest.approx(0, abs=1e-12) and out["same_top"] == 1
    assert out["perplexity"] == pytest.approx(plain, rel=1e-9)


def test_eval_does_not_depend_on_threads(tokens):
    runs = [evaluate(tokens, "--weights", "nvfp4", "--activations", "nvfp4", "--threads", n)[0] for n in (1, 2, 3)]
    for run in runs:
        run.pop("seconds")
    assert runs[0] == runs[1] == runs[2]


def test_eval_warns_once_of_ragged_groups(tokens):
    _, err = evaluate(tokens, "--weights", "mxfp4")
    assert err.count("\n") == 1 and "80 values in groups of 32 leave a last group of 16" in err


def test_static_maxima_replace_dynamic_ones(tokens, tmp_path):
    file = tmp_path / "maxima.json"
    dynamic, _ = evaluate(tokens, "--activations", "nvfp4", "--windows", 1, "--save-maxima", file)
    assert len(json.loads(file.read_text())) == 14
    static, _ = evaluate(tokens, "--activations", f"nvfp4:ts=static:{file}", "--windows", 1)
    assert static["kl_full"] == dynamic["kl_full"]
    # before any work: the tokens are not even looked for
    refused(73, "exists", "eval", "--model", MODEL, "--tokens", "none.npy", "--activations", "nvfp4", "--save-maxima", file)


def test_an_evaluation_is_printed_though_its_maxima_cannot_be_kept(tokens, tmp_path):
    (tmp_path / "file").write_text("")
    done = lowbit("eval", "--model", MODEL, "--tokens", tokens, "--context", 32, "--activations", "nvfp4", "--windows", 1,
                  "--save-maxima", tmp_path / "file/m.json", "--output", "json")
    assert done.returncode == 73 and json.loads(done.stdout)["perplexity"] > 1


def test_bytes_that_are_no_text_do_not_lose_the_output(tmp_path, tokens):
    """A file name, and text that ends inside a character: the tokens of this vocabulary are single bytes."""
    name = os.fsencode(tmp_path) + b"/\xff.npy"
    os.link(tokens, name)
    model = tmp_path / os.fsdecode(b"m\xfe")
    model.symlink_to(MODEL)
    for form in ("json", "csv", "text"):
        out = subprocess.run([LOWBIT, "eval", "--model", model, "--tokens", name, "--context", "32", "--windows", "1", "--output", form], capture_output=True)
        assert out.returncode == 0, out.stderr
    cast = subprocess.run([LOWBIT, "cast", "--format", "fp32", "--input", values_file(tmp_path), "-o", tmp_path / "y.npy", "--output", "json"], capture_output=True)
    assert cast.returncode == 0 and json.loads(cast.stdout)["input"].endswith("\ufffd.npy"), cast.stderr


def test_site_rules(tokens):
    one, _ = evaluate(tokens, "--site", "model.layers.1.mlp.down_proj.input=mxfp4")
    assert one["kl_full"] > 0 and one["bits_weight"] == 32 and 4 < one["bits_activation"] < 32


@pytest.mark.parametrize("words, code, text", [
    (["--weights", "mxfp5"], 2, "mxfp5"),
    (["--weights", "mxfp4", "--transform", "had:48"], 2, "had:48"),
    (["--weights", "mxfp4", "--transform", "had:32"], 2, "does not divide the 80 values"),
    (["--transform", "nonsense"], 2, "nonsense"),
    (["--transform", "had:16"], 2, "no linear layer has a format"),
    (["--kv-transform", "had:16"], 2, "neither keys nor values have a format"),
    (["--kv", "nvfp4"], 2, "ts=none or ts=static"),
    (["--site", "*.up_proj.input"], 2, "expected PATTERN.SITE=FORMAT"),
    (["--site", "nothing.input=mxfp4"], 2, "matches no module"),
    (["--context", "1"], 2, "context"),
    (["--context", "65"], 2, "expected 2 to 64"),
    (["--threads", "-1"], 2, "threads"),
    (["--skip-layers", "7", "--weights", "mxfp4"], 2, "layers are 0 to 1"),
    (["--save-maxima", "m.json"], 2, "needs formats"),
    (["--text", "x.txt"], 2, "either --tokens or --text"),
])
def test_bad_options(tokens, words, code, text):
    context = [] if "--context" in words else ["--context", "32"]
    refused(code, text, "eval", "--model", MODEL, "--tokens", tokens, *words, *context)


def test_bad_tokens_and_models(tmp_path, tokens):
    bad = tmp_path / "bad.npy"
    np.save(bad, np.array([1, 2, 96], dtype=np.int32))
    refused(65, "token 96 at place 2", "eval", "--model", MODEL, "--tokens", bad)
    np.save(bad, np.zeros(40, dtype=np.float32))
    refused(65, "expected little-endian integers", "eval", "--model", MODEL, "--tokens", bad)
    np.save(bad, np.zeros(3, dtype=np.int32))
    refused(65, "3 tokens do not fill one window of 8", "eval", "--model", MODEL, "--tokens", bad, "--context", 8)
    refused(66, "neither a folder nor in", "eval", "--model", "no-such-model", "--tokens", tokens)
    refused(66, "no config.json", "eval", "--model", str(tmp_path), "--tokens", tokens)
    refused(66, "missing.npy", "eval", "--model", MODEL, "--tokens", tmp_path / "missing.npy")


def test_generate_follows_the_likeliest_tokens(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((VECTORS / "llama3" / name).read_bytes())
    vocabulary = {chr(33 + i): i for i in range(94)} | {"\u0120a": 94, "b\u010a": 95}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": vocabulary, "merges": []}, "added_tokens": []}))
    prompt = tmp_path / "prompt.npy"
    np.save(prompt, np.array([5, 9, 94], dtype=np.int32))
    words = ["generate", "--model", folder, "--tokens", prompt, "--max-tokens", 12, "--output", "json"]
    first, again = json.loads(lowbit(*words).stdout), json.loads(lowbit(*words, "--threads", 1).stdout)
    assert 0 < len(first["tokens"]) <= 12 and first["tokens"] == again["tokens"]
    names = {i: t.replace("\u0120", " ").replace("\u010a", "\n") for t, i in vocabulary.items()}
    assert first["text"] == "".join(names[t] for t in first["tokens"])
    drawn = [json.loads(lowbit(*words, "--temperature", 5, "--seed", seed).stdout)["tokens"] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    refused(2, "exceed the model's context of 64", *words[:-4], "--max-tokens", 62)
    refused(2, "either --prompt or --tokens", "generate", "--model", folder)


def capture(tokens, out, *words):
    return lowbit("capture", "--model", MODEL, "--tokens", tokens, "-o", out, "--context", 16, "--windows", 3, *words)


def test_capture_writes_what_the_model_has(tokens, tmp_path):
    result = capture(tokens, tmp_path / "all.h5", "--kinds", "x,w,dy,q,k,q_pre,k_pre,v,logits")
    assert result.returncode == 0, result.stderr
    with h5py.File(tmp_path / "all.h5") as file:
        assert len(file) == 2 * (7 * 3 + 5) + 1
        assert file["logits"].shape == (3, 16, 96)
        assert file.attrs["head_dim"] == 16 and file.attrs["kv_heads"] == 2 and file.attrs["rope_theta"] == 50
        assert file.attrs["rope_scaling"] == b"llama3"
        name = "model.layers.0.mlp.up_proj"
        assert file[name + ".x"] == file["model.layers.0.mlp.gate_proj.x"]  # one dataset under two names
        assert file[name + ".dy"].shape == (3, 16, 80) and file["model.layers.1.self_attn.k"].attrs["rope"] == b"after"
        assert file["model.layers.1.self_attn.k"].attrs["sliding_window"] == 0
        # dL/dW of the whole = sum over windows; each window's loss is a mean of its own
        x, dy = file[name + ".x"][:], file[name + ".dy"][:]
        assert np.isfinite(x).all() and np.abs(dy).max() > 0
        assert np.abs(dy[:, -1]).max() == 0  # the last token predicts nothing
        probabilities = np.exp(file["logits"][:].astype(float))
        ids = np.load(tokens)[:48].reshape(3, 16)
        loss = -np.log(np.take_along_axis(probabilities / probabilities.sum(-1, keepdims=True), np.roll(ids, -1, 1)[..., None], -1))[:, :-1].mean()
    out = lowbit("eval", "--model", MODEL, "--tokens", tokens, "--context", 16, "--windows", 3, "--output", "json")
    assert json.loads(out.stdout)["perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)


def test_capture_in_bfloat16_rounds_to_nearest_even(tokens, tmp_path):
    assert capture(tokens, tmp_path / "wide.h5", "--kinds", "x", "--layers", "1").returncode == 0
    assert capture(tokens, tmp_path / "narrow.h5", "--kinds", "x", "--layers", "1", "--dtype", "bf16").returncode == 0
    with h5py.File(tmp_path / "wide.h5") as wide, h5py.File(tmp_path / "narrow.h5") as narrow:
        assert list(wide) == list(narrow) and len(wide) == 7
        for name in wide:
            bits = wide[name][:].view(np.uint32).astype(np.uint64)
            expected = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
            assert (narrow[name][:].view(np.uint32) == expected.view(np.uint32)).all()
        assert (narrow.id.get_filesize(), wide.id.get_filesize()) > (0, 0)


def test_capture_refuses_and_leaves_nothing_half_written(tokens, tmp_path):
    out = tmp_path / "sub" / "t.h5"
    refused(2, "unknown kind 'z'", "capture", "--model", MODEL, "--tokens", tokens, "-o", out, "--kinds", "x,z")
    refused(2, "layers are 0 to 1", "capture", "--model", MODEL, "--tokens", tokens, "-o", out, "--layers", "5")
    refused(65, "3 windows of 60", "capture", "--model", MODEL, "--tokens", tokens, "-o", out, "--context", 60, "--windows", 9)
    out.parent.mkdir(exist_ok=True)
    out.write_text("mine")
    assert capture(tokens, out, "--kinds", "x").returncode == 73 and out.read_text() == "mine"
    limited = subprocess.run(f"ulimit -f 20; {LOWBIT} capture --model {MODEL} --tokens {tokens} -o {tmp_path}/full.h5 --context 16 --windows 3",
                             shell=True, capture_output=True, text=True, executable="/bin/bash")
    assert limited.returncode == 74 and "full.h5" in limited.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sub", "tokens.npy"]


def test_an_interrupted_capture_leaves_nothing(tmp_path):
    many = tmp_path / "many.npy"
    np.save(many, np.zeros(64 * 3000, dtype=np.uint8))
    process = subprocess.Popen([LOWBIT, "capture", "--model", MODEL, "--tokens", many, "-o", tmp_path / "t.h5", "--context", "64",
                                "--windows", "3000"], stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 60
    while not any(p.name.startswith(".t.h5") for p in tmp_path.iterdir()) and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    if process.returncode != -signal.SIGTERM:  # the signal may come before it is caught
        assert process.returncode == 75 and "was not written" in err
        assert [p.name for p in tmp_path.iterdir()] == ["many.npy"]
    assert not (tmp_path / "t.h5").exists()
