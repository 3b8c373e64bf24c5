// KVLinC (arXiv 2510.05373): errors of quantised KV caches, from rows of keys and values to attention and perplexity,
// beside KIVI, QuaRot, GEAR, ResQ and KVQuant. The methods are in sim/kv/methods, the figures in papers/kvlinc/.
// Published error curves have no stated definition: rel_F and O_err here are ||X - X^||_F / ||X||_F of rows and of the
// output of attention. Without the paper's code and models, drawn heads, captured tensors and a small model stand in.
#include "experiments/papers/kvlinc/tables.hpp"
