// "INT v.s. FP: A Comprehensive Study of Fine-Grained Low-bit Quantization Formats" (arXiv:2510.25602): integer against float
// block formats by the crest factor of the data. One experiment per file in int_vs_fp/:
//   fig3, fig3_measured            theory, and the same crossovers measured in three ways
//   fig4, fig4_layers, table2      real tensors: QSNR and crest factors, pooled and by tensor type and layer
//   fig4_weights                   the same on float32 weights
//   kl                             direct-cast inference of a small model: KL divergence and perplexity (Tables 3, 12-15)
//   gaussian, gaussian_crest       statistics of i.i.d. Gaussian data; scale_rules: what the rounding of scales costs
//   families, granularity          families of random tensors, fine and coarse groups, random Hadamard rotations
//   clipping, algorithm1           overflow of the symmetric range in BF16 and FP16 arithmetic
//   hardware                       gate counts
// The training tables are out of reach of a CPU and are not here.
#include "experiments/papers/int_vs_fp/reference.hpp"
