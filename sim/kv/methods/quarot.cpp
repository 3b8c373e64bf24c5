// QuaRot's KV cache (Ashkboos et al., arXiv 2404.00456): keys after RoPE and values times the normalised Hadamard
// matrix of the head, both in groups of channels of a token.
//
// Differs from the paper: asymmetric with fp16 scale and minimum, as KVLinC (arXiv 2510.05373) runs it (the code's
// default is symmetric, clip ratio 1, one group a token of all heads); the rotation of values is undone on the output
// of attention instead of inside the weights, which is the same function. The residual window is KVLinC's.
#include "sim/kv/methods/method.hpp"

namespace lowbit::kv {

MethodPtr make_quarot(const MethodOptions& options) {
  return make_pair("had_token", "had_token", options);
}

}  // namespace lowbit::kv
