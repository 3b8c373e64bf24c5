"""A Hugging Face style folder out of a llama-architecture GGUF file: config.json, model.safetensors, tokenizer.json.

GGUF keeps the rows of q_proj and k_proj in the interleaved order of its rotary embedding (pair 2i, 2i+1); Hugging
Face models pair i with i + d/2, so the rows go back to where they were.
"""
import json

import gguf
import numpy as np
import safetensors.numpy

NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


def hugging_face_name(name):
    """model.layers.3.self_attn.q_proj.weight for blk.3.attn_q.weight."""
    fixed = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
             "output.weight": "lm_head.weight"}
    if name in fixed:
        return fixed[name]
    block, layer, kind, suffix = name.split(".")
    if block != "blk" or kind not in NAMES:
        raise ValueError(f"tensor {name} has no Hugging Face name")
    return f"model.layers.{layer}.{NAMES[kind]}.{suffix}"


def restore_rope_rows(weight, heads):
    """Rows of one head from (0, d/2, 1, d/2+1, ...) to (0, 1, ..., d-1)."""
    rows, columns = weight.shape
    dim = rows // heads
    return weight.reshape(heads, dim // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def shortest(value):
    """The decimal number that a float32 of the file was written as (9.999999747378752e-06 is 1e-05)."""
    return float(str(np.float32(value)))


def read_config(field):
    llama = lambda key: field("llama." + key)
    heads = llama("attention.head_count")
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": llama("embedding_length"), "intermediate_size": llama("feed_forward_length"),
        "num_hidden_layers": llama("block_count"), "num_attention_heads": heads,
        "num_key_value_heads": llama("attention.head_count_kv"), "head_dim": llama("embedding_length") // heads,
        "max_position_embeddings": llama("context_length"), "vocab_size": llama("vocab_size"),
        "rms_norm_eps": shortest(llama("attention.layer_norm_rms_epsilon")), "rope_theta": shortest(llama("rope.freq_base")),
        "rope_scaling": None, "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": True,
        "bos_token_id": field("tokenizer.ggml.bos_token_id"), "eos_token_id": field("tokenizer.ggml.eos_token_id"),
        "torch_dtype": "float32",
    }


def read_weights(reader, config):
    weights = {}
    for tensor in reader.tensors:
        name = hugging_face_name(tensor.name)
        value = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if name.endswith("q_proj.weight"):
            value = restore_rope_rows(value, config["num_attention_heads"])
        if name.endswith("k_proj.weight"):
            value = restore_rope_rows(value, config["num_key_value_heads"])
        weights[name] = np.ascontiguousarray(value)
    config["tie_word_embeddings"] = "lm_head.weight" not in weights
    return weights


def read_tokenizer(field):
    """The byte-level BPE of SmolLM: digits one by one, then GPT-2's pattern."""
    if (field("tokenizer.ggml.model"), field("tokenizer.ggml.pre")) != ("gpt2", "smollm"):
        raise ValueError("only the tokenizer gpt2/smollm is known")
    tokens, kinds = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.token_type")
    control = int(gguf.TokenType.CONTROL)
    added = [{"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": True} for i, (token, kind) in enumerate(zip(tokens, kinds)) if kind == control]
    bytes_of = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, bytes_of]},
        "post_processor": None, "decoder": bytes_of,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {token: i for i, token in enumerate(tokens)}, "merges": field("tokenizer.ggml.merges")},
    }


def convert(path, folder, origin):
    """Writes the folder from the GGUF file; `origin` goes into the metadata of model.safetensors."""
    reader = gguf.GGUFReader(str(path))
    field = lambda key: reader.fields[key].contents()
    config = read_config(field)
    weights = read_weights(reader, config)
    safetensors.numpy.save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt", "origin": origin})
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "tokenizer.json").write_text(json.dumps(read_tokenizer(field), ensure_ascii=False) + "\n", encoding="utf-8")
