// "Bridging the Gap Between Promise and Performance for Microscaling FP4 Quantization" (MR-GPTQ, arXiv:2509.23202): block
// Hadamard rotations, clipping grids and GPTQ for NVFP4 and MXFP4. One experiment per file in mr_gptq/:
//   group_size      Figure 3: errors of groups and of their largest value by group size, with and without rotation
//   theory          Definitions 1 to 3 and Lemma 1, by quadrature and by sampling; dead_zone: Lemma 2
//   scale_format    what the element of the scale costs
//   rotation_size   rotation size against group size on rows with outlier channels
//   grid            scale searches; gptq: GPTQ and its variants on synthetic layers
//   layers          the same errors and the kurtosis per tensor of a language model
//   perplexity      W4A4 on a language model
// Formats of the paper's repository are like=fp_quant.
#include "experiments/papers/mr_gptq/common.hpp"
