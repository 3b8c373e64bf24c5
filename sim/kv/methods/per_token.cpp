// Plain per-token quantisation of keys and values: the baseline that KIVI's and KVQuant's axis tables begin with (arXiv
// 2402.02750, Table 2; arXiv 2401.18079, section 3.1).
//
// Differs from the papers: groups end at the head.
#include "sim/kv/methods/method.hpp"

namespace lowbit::kv {

MethodPtr make_per_token(const MethodOptions& options) {
  return make_pair("raw_token", "raw_token", options);
}

}  // namespace lowbit::kv
