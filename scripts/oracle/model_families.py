#!/usr/bin/env python3
"""Vectors for the language model: tiny random models of each family, computed by transformers and torch.

    python -m venv v && v/bin/pip install -r scripts/oracle/model_requirements.txt
    v/bin/python scripts/oracle/model_families.py tests/vectors/model

For each family a folder with config.json and the weights as a user has them (BF16, F16 or F32, sharded once), and
expected.safetensors: token numbers of two texts, logits, hidden states, keys and values as cached (after RoPE), and the
gradients of the mean token loss over both texts for every linear layer's input, output and weight. Weights lie on the
grid of the stored type, so that both sides compute with equal numbers; everything is computed in float32.
"""
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file

TEXTS, LENGTH = 2, 12
COMMON = dict(vocab_size=96, hidden_size=64, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False)
LLAMA3 = dict(rope_type="llama3", rope_theta=50.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
DEFAULT = dict(rope_type="default", rope_theta=10000.0)

# name: (configuration class, its options, stored type, style of config.json)
FAMILIES = {
    "llama2": ("LlamaConfig", dict(num_key_value_heads=4, rope_parameters=DEFAULT), torch.float16, "old"),
    "llama3": ("LlamaConfig", dict(rope_parameters=LLAMA3), torch.bfloat16, "old"),
    "llama_linear_biased": ("LlamaConfig", dict(rope_parameters=dict(rope_type="linear", rope_theta=1000.0, factor=2.0),
                                                attention_bias=True, mlp_bias=True), torch.bfloat16, "new"),
    "smollm": ("LlamaConfig", dict(tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=1e5)),
               torch.bfloat16, "new"),
    "mistral": ("MistralConfig", dict(sliding_window=5, head_dim=16, rope_parameters=DEFAULT), torch.bfloat16, "old"),
    "qwen2": ("Qwen2Config", dict(rope_parameters=dict(rope_type="default", rope_theta=1e6)), torch.bfloat16, "old"),
    "qwen3": ("Qwen3Config", dict(head_dim=32, rope_parameters=dict(rope_type="default", rope_theta=1e6)), torch.float32, "new"),
}


def make_model(kind, options, dtype):
    config = getattr(transformers, kind)(**{**COMMON, **options}, attn_implementation="eager")
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    generator = torch.Generator().manual_seed(2024)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator)
            values = 1 + 0.3 * values if "norm" in name else values * (0.3 if "bias" in name else 0.15)
            grid = torch.bfloat16 if dtype == torch.float32 else dtype  # small files: few significant bits
            parameter.copy_(values.to(grid).float())
    return model


def old_style(config):
    """config.json as transformers 4 wrote it: rope_theta and rope_scaling at the top."""
    rope = dict(config.pop("rope_parameters"))
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config.pop("layer_types", None)
    return config


def write_folder(folder, model, dtype, style):
    config = model.config.to_dict()
    config = {key: value for key, value in config.items() if not key.startswith("_") and value is not None}
    (folder / "config.json").write_text(json.dumps(old_style(config) if style == "old" else config, indent=2) + "\n")
    state = {name: value.to(dtype).contiguous() for name, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight")
    if folder.name != "qwen2":
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(state)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, members in shards.items():
        save_file({name: state[name] for name in members}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, members in shards.items() for name in members}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def watch_linears(model, out):
    """Keeps input and output of every linear layer, so that their gradients can be read after backward()."""
    def hook(name):
        def keep(module, inputs, result):
            inputs[0].retain_grad()
            result.retain_grad()
            out[name] = (inputs[0], result)
        return keep
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(hook(name))


class PrivateInputs(torch.autograd.Function):
    """Identity: gives each linear layer an input tensor of its own, whose gradient is its own share."""
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def split_inputs(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(lambda module, inputs: (PrivateInputs.apply(inputs[0]),))


def compute(model):
    generator = torch.Generator().manual_seed(7)
    tokens = torch.randint(0, COMMON["vocab_size"], (TEXTS, LENGTH), generator=generator)
    split_inputs(model)
    seen = {}
    watch_linears(model, seen)
    # a plain DynamicCache keeps all keys, also where the attention has a window
    result = model(tokens, output_hidden_states=True, use_cache=True, past_key_values=transformers.DynamicCache())
    losses = torch.nn.functional.cross_entropy(result.logits[:, :-1].reshape(-1, COMMON["vocab_size"]), tokens[:, 1:].reshape(-1),
                                               reduction="none")
    losses.mean().backward()
    out = {"tokens": tokens.to(torch.int32).reshape(-1), "logits": result.logits, "token_losses": losses}
    for layer, hidden in enumerate(result.hidden_states[:-1]):
        out[f"model.layers.{layer}.input"] = hidden
    out["model.norm.output"] = result.hidden_states[-1]
    for layer, cached in enumerate(result.past_key_values.layers):
        for name, value in (("k", cached.keys), ("v", cached.values)):  # text, head, token, channel -> token, head x channel
            out[f"model.layers.{layer}.self_attn.{name}"] = value.transpose(1, 2).flatten(2)
    for name, module in model.named_modules():
        if name in seen:
            out[name + ".input_gradient"], out[name + ".output_gradient"] = seen[name][0].grad, seen[name][1].grad
            # a tied weight also collects the gradient of the embedding
            if name != "lm_head" or not model.config.tie_word_embeddings:
                out[name + ".weight_gradient"] = module.weight.grad
    # both texts one after the other, as rows
    return {name: value.detach().reshape(-1, value.shape[-1]).contiguous() if value.dim() == 3 else value.detach().contiguous()
            for name, value in out.items()}


def main():
    target = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)
    for name, (kind, options, dtype, style) in FAMILIES.items():
        folder = target / name
        folder.mkdir(parents=True, exist_ok=True)
        model = make_model(kind, options, dtype)
        write_folder(folder, model, dtype, style)
        origin = f"scripts/oracle/model_families.py, torch {torch.__version__}, transformers {transformers.__version__}"
        (folder / "expected").mkdir(exist_ok=True)
        save_file(compute(model), folder / "expected" / "expected.safetensors", metadata={"origin": origin})


if __name__ == "__main__":
    main()
