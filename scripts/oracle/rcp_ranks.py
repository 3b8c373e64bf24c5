#!/usr/bin/env python3
"""Ranks of SmolLM2's end-of-turn token along a text, computed by transformers and torch.

    python -m venv v && v/bin/pip install -r scripts/oracle/model_requirements.txt
    scripts/get-model smollm2-135m
    v/bin/python scripts/oracle/rcp_ranks.py ~/.cache/lowbit/models/smollm2-135m tests/vectors/model/persuasion_tokens.npy OUT.npy

OUT.npy holds, for the first 512 tokens as one float32 pass, the rank of token 2 (<|im_end|>) after each: 1 + tokens with a
strictly larger logit; the other tokens with an equal one; and the number of logits within 1e-4 of it, itself included. int32 (512, 3).
"""
import sys

import numpy as np
import torch
import transformers

END_TOKEN, WINDOW = 2, 512


def main():
    folder, tokens, out = sys.argv[1:]
    torch.set_num_threads(2)
    config = transformers.AutoConfig.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32, attn_implementation="eager").eval()
    text = np.load(tokens)[:WINDOW].astype(np.int64)
    with torch.no_grad():
        logits = model(torch.tensor(text[None])).logits[0]
    end = logits[:, END_TOKEN:END_TOKEN + 1]
    table = torch.stack([1 + (logits > end).sum(1), (logits == end).sum(1) - 1, ((logits - end).abs() <= 1e-4).sum(1)], 1)
    np.save(out, table.numpy().astype(np.int32))
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")


if __name__ == "__main__":
    main()
