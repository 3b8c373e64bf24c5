"""kvlinc on tensors of the user's own: names, axes and attributes as lowbit capture writes them, and what is refused."""

import subprocess

import h5py
import numpy as np
import pytest
from paper_program import SOURCE, PaperProgram, errors

program = PaperProgram("kvlinc")


def captured(path, tokens=256, change=None, width=32):
    """A file as lowbit capture writes it: one layer, 4 query and 2 KV heads of `width` channels."""
    generator = np.random.default_rng(1)
    with h5py.File(path, "w") as file:
        file.attrs.update(heads=4, kv_heads=2, head_dim=width, rope_theta=10000.0, first_position=0)
        for name, heads in (("q", 4), ("k", 2), ("v", 2)):
            data = file.create_dataset(f"model.layers.3.self_attn.{name}", data=generator.standard_normal((1, tokens, heads * width)).astype(np.float32))
            data.attrs.update(axes="window,token,channel", rope="after", kind=name)
        if change:
            change(file)
    return path


def test_own_tensors(tmp_path):
    path = captured(tmp_path / "own.h5")
    program.run(tmp_path, "keys", "--tensors", str(path), "--seeds", "1", "--length", "256")
    data = program.result(tmp_path, "keys").dataset
    assert [str(t) for t in data["tensor"].values] == ["seed-0", "layer-3.head-0", "layer-3.head-1"]
    with h5py.File(path) as file:
        k = file["model.layers.3.self_attn.k"][0, :, 32:].astype(np.float64)
    groups = k.reshape(2, 128, 32)  # 2 bits, groups of 128 tokens of a channel, fp16 scale and minimum
    low = groups.min(1, keepdims=True)
    step = ((groups.max(1, keepdims=True) - low).astype(np.float32) / np.float32(3)).astype(np.float16).astype(np.float64)
    low = low.astype(np.float16).astype(np.float64)
    back = low + step * np.clip(np.rint((groups - low) / step), 0, 3)
    error = np.linalg.norm(back - groups) / np.linalg.norm(groups)
    ours = float(data["rel_f"].sel(setting="d64-g128", tensor="layer-3.head-1", scheme="raw_channel"))
    assert abs(ours - error) < 2e-6


@pytest.mark.parametrize("width, setting", [(128, "d128-g128"), (64, "d64-g128"), (32, "d64-g128")])
def test_own_tensors_stand_under_the_setting_of_their_width(tmp_path, width, setting):
    path = captured(tmp_path / "own.h5", width=width)
    for figure, output in (("keys", "rel_f"), ("attention", "o_err")):
        done = program.call(figure, "--tensors", str(path), "--seeds", "1", "--length", "256", "--queries", "16", "-o", tmp_path)
        assert done.returncode == 0, done.stderr
        data = program.result(tmp_path, figure).dataset[output].sel(tensor="layer-3.head-1")
        used = [str(s) for s in data["setting"].values if np.isfinite(data.sel(setting=s).values).all()]
        assert setting in used and all(s.startswith(setting.split("-")[0]) for s in used)
        rows = {row["quantity"]: row for row in program.report(tmp_path, figure)}
        medians = [row for name, row in rows.items() if name.startswith("file_median")]
        assert medians and all(np.isfinite(row["ours"]) and setting in row["note"] for row in medians)
        # groups of 128 that end at the head: said once, and recorded
        assert done.stderr.count("those of the head (64)") == 1 and done.stderr.count("those of the head (32)") == (width == 32)
        assert rows["values of a token-wise group"]["ours"] == 64


def nan_key(file):
    file["model.layers.3.self_attn.k"][0, 17, 5] = np.nan


def no_theta(file):
    del file.attrs["rope_theta"]


def no_rope(file):
    del file["model.layers.3.self_attn.k"].attrs["rope"]


def other_axes(file):
    file["model.layers.3.self_attn.k"].attrs["axes"] = "token,head,channel"


def no_window(file):
    file["model.layers.3.self_attn.k"].attrs["sliding_window"] = -3


def no_values(file):
    del file["model.layers.3.self_attn.v"]


def wrong_width(file):
    file.attrs["head_dim"] = 48


def rope(rows, theta=10000.0):
    """Heads of 32 channels, windows x tokens x (heads * 32), at positions 0, 1, ..., in float64."""
    heads = rows.reshape(*rows.shape[:2], -1, 32).astype(np.float64)
    angle = (np.arange(rows.shape[1])[:, None] * theta ** (-np.arange(16) / 16))[None, :, None]
    a, b = heads[..., :16], heads[..., 16:]
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1).reshape(rows.shape)


def test_each_tensor_says_whether_rope_was_applied(tmp_path):
    """Layer 3 has queries before and keys after RoPE, layer 4 the other way round: the same attention."""

    def other_layer(file):
        q, k, v = (file[f"model.layers.3.self_attn.{name}"] for name in "qkv")
        before = {"q": q[:], "k": k[:], "v": v[:]}
        after = {"q": rope(q[:]), "k": rope(k[:]), "v": v[:]}
        for layer, late in ((3, "k"), (4, "q")):
            for name in "qkv":
                place = f"model.layers.{layer}.self_attn.{name}"
                data = (after if name == late else before)[name].astype(np.float32)
                if place in file:
                    put(file, place, data)
                else:
                    file.create_dataset(place, data=data)
                file[place].attrs.update(axes="window,token,channel", rope="none" if name == "v" else "after" if name == late else "before")

    path = captured(tmp_path / "mixed.h5", change=other_layer)
    program.run(tmp_path, "attention", "--tensors", str(path), "--seeds", "0", "--queries", "16")
    error = program.result(tmp_path, "attention").dataset["o_err"].sel(setting="d64-g128")
    for head in (0, 1):
        a, b = (error.sel(tensor=f"layer-{layer}.head-{head}").values for layer in (3, 4))
        assert np.allclose(a, b, rtol=1e-3), (a, b)


def test_keys_say_how_many_tokens_a_query_sees(tmp_path):
    def window(size):
        return lambda file: file["model.layers.3.self_attn.k"].attrs.update(sliding_window=size)

    error = {}
    for size in (None, 0, 1, 5, 256):
        path = captured(tmp_path / f"{size}.h5", change=None if size is None else window(size))
        program.run(tmp_path / str(size), "attention", "--tensors", str(path), "--seeds", "0", "--queries", "16")
        error[size] = program.result(tmp_path / str(size), "attention").dataset["o_err"].sel(setting="d64-g128")
    assert (error[1].sel(pair=["k_raw_channel", "k_raw_token"]) == 0).all()  # the value of the query's own token, whatever its key
    assert (error[1].sel(pair="v_raw_token") > 0).all()
    assert (error[None].values == error[0].values).all() and (error[0].values == error[256].values).all()
    assert np.abs(error[5].values / error[0].values - 1).max() > 0.05


LLAMA3 = SOURCE / "tests/vectors/model/llama3"


def llama3_file(path, kinds):
    tokens = path.parent / "tokens.npy"
    np.save(tokens, np.random.default_rng(3).integers(0, 96, 64, dtype=np.int32))
    capture = ["capture", "--model", LLAMA3, "--tokens", tokens, "-o", path, "--context", "64", "--kinds", kinds]
    done = subprocess.run([program.binary.parent / "lowbit", *capture], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return path


def channel_peaks(folder, path):
    program.run(folder, "outliers", "--tensors", str(path), "--seeds", "0")
    return program.result(folder, "outliers").dataset["channel_peak"].sel(side="k_pre").values


def test_keys_before_rope_are_those_of_the_model(tmp_path):
    """A model with scaled RoPE: k_pre of the file, and k turned back by what capture says of the scaling."""
    path = llama3_file(tmp_path / "pre.h5", "q,k,v,k_pre")
    truth = []
    with h5py.File(path) as file:
        d = int(file.attrs["head_dim"])
        assert file.attrs["rope_scaling"] == b"llama3" and file.attrs["rope_factor"] > 1
        for layer in (0, 1):
            k = file[f"model.layers.{layer}.self_attn.k_pre"][0].astype(np.float64)
            power = np.sort((k.reshape(len(k), -1, d) ** 2).sum(0), -1)
            truth += list(np.sqrt(power[:, -1] / power[:, d // 2]))
    assert channel_peaks(tmp_path / "a", path) == pytest.approx(truth, rel=1e-6)
    assert channel_peaks(tmp_path / "b", llama3_file(tmp_path / "turned.h5", "q,k,v")) == pytest.approx(truth, rel=1e-4)
    with h5py.File(path, "a") as file:
        file.attrs["rope_theta"] = 3 * file.attrs["rope_theta"]
    done = program.call("outliers", "--tensors", str(path), "--seeds", "0", "-o", tmp_path)
    assert done.returncode == 65 and "k_pre after RoPE" in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr


def other_mapping(file):
    file.attrs["head_mapping"] = "query head h reads KV head h % kv_heads"


def other_scaling(file):
    file.attrs["rope_scaling"] = "yarn"


def no_factor(file):
    file.attrs["rope_scaling"] = "linear"


def no_query_rope(file):
    del file["model.layers.3.self_attn.q"].attrs["rope"]


def put(file, name, data):
    """Another array in the place of one, with its attributes."""
    attributes = dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, data=data).attrs.update(attributes)


def few_values(file):
    put(file, "model.layers.3.self_attn.v", np.ones((1, 100, 64), np.float32))


def few_queries(file):
    put(file, "model.layers.3.self_attn.q", np.ones((1, 8, 128), np.float32))


def more_windows(file):
    put(file, "model.layers.3.self_attn.k", np.ones((3, 256, 64), np.float32))


def no_tokens(file):
    for name, width in (("q", 128), ("k", 64), ("v", 64)):
        put(file, f"model.layers.3.self_attn.{name}", np.ones((1, 0, width), np.float32))


@pytest.mark.parametrize(
    "change, words",
    [
        (few_values, ("self_attn.v' has shape (1, 100, 64)", "self_attn.k' (1, 256, 64)")),
        (few_queries, ("self_attn.q' has shape (1, 8, 128)", "self_attn.k' (1, 256, 64)")),
        (more_windows, ("(1, 256, 64)", "(3, 256, 64)")),
        (no_tokens, ("self_attn.k", "(1, 0, 64)", "one token")),
        (other_mapping, ("head_mapping", "h % kv_heads", "h / (heads / kv_heads)")),
        (other_scaling, ("yarn", "none, linear or llama3")),
        (no_factor, ("rope_factor",)),
        (no_query_rope, ("self_attn.q", "rope", "after or before")),
        (nan_key, ("nan", "token 17", "channel 5")),
        (no_theta, ("rope_theta", "base of the rotary embedding")),
        (no_rope, ("rope", "after or before")),
        (no_window, ("sliding_window", "one integer")),
        (other_axes, ("token,head,channel", "window,token,channel")),
        (no_values, ("self_attn.v",)),
        (wrong_width, ("(1, 256, 64)", "96")),
    ],
)
def test_bad_tensors_end_in_one_line(tmp_path, change, words):
    path = captured(tmp_path / "bad.h5", change=change)
    done = program.call("keys", "--tensors", str(path), "--seeds", "1", "--length", "256", "-o", tmp_path)
    assert done.returncode == 65
    assert len(errors(done.stderr)) == 1 and all(word in done.stderr for word in words), done.stderr


def test_a_truncated_file_is_refused(tmp_path):
    path = captured(tmp_path / "cut.h5")
    path.write_bytes(path.read_bytes()[:3000])
    done = program.call("keys", "--tensors", str(path), "--seeds", "1", "--length", "256", "-o", tmp_path)
    assert done.returncode == 65 and len(done.stderr.strip().splitlines()) == 1 and "damaged" in done.stderr
    assert not (tmp_path / "kvlinc" / "keys.h5").exists()


def test_one_token_is_too_few_to_fit_tables_to(tmp_path):
    path = captured(tmp_path / "one.h5", tokens=1)
    done = program.call("baselines", "--cache", "kvquant", "--tensors", str(path), "--seeds", "0", "--bits", "2", "-o", tmp_path)
    assert done.returncode == 65 and len(errors(done.stderr)) == 1 and "one" in errors(done.stderr)[0], done.stderr


def test_static_second_level_scales(tmp_path):
    """Maxima of calibration tokens: nearly as good as those of the tokens themselves, on drawn heads and on a file's second half."""
    path = captured(tmp_path / "own.h5")
    program.run(tmp_path, "formats", "--format", "nvfp4:ts=static,nvfp4:ts=none", "--seeds", "2", "--length", "512", "--queries", "64", "--tensors", str(path))
    error = program.result(tmp_path, "formats").dataset["k_rel_f"]
    static, none = (error.sel(format=name) for name in ("nvfp4:ts=static", "nvfp4:ts=none"))
    assert np.isfinite(static).all() and (static != none).any() and np.allclose(static, none, rtol=0.3)
    notes = [row["note"] for row in program.report(tmp_path, "formats") if "ts=static" in row["quantity"]]
    assert notes and all("from calibration tokens" in note for note in notes)
