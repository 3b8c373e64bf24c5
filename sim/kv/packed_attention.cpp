// Attention of a pass straight from the blocks of a cache.
#include <algorithm>
#include <stdexcept>

#include "sim/kv/cache.hpp"
#include "sim/kv/corrected.hpp"

namespace lowbit::kv {

model::AttentionStats PackedAttention::apply(const model::AttentionCall& call) {
  auto* cache = dynamic_cast<Cache*>(call.sequence.cache);
  if (cache == nullptr) throw std::logic_error("kv: this attention reads a kv::Cache");
  Policy& policy = cache->policy();
  if (dynamic_cast<const CorrectedPolicy*>(&policy) != nullptr) refuse_window(call.shape.window);
  const bool wanted = policy.wants_attention();
  std::vector<std::vector<float>> mass(call.shape.kv_heads);
  const std::size_t d = call.shape.head_dim, group = call.shape.heads / call.shape.kv_heads;
  std::vector<double> pairs(call.shape.kv_heads);
  call.threads.parallel_for(call.shape.kv_heads, [&](std::size_t h) {
    HeadReader reader = cache->reader(call.shape.layer, h);
    reader.math = math_;
    reader.window = call.shape.window;
    if (wanted) mass[h].resize(reader.k->slots());
    Matrix q(group, d), out(group, d);
    for (std::size_t t = 0; t < call.q.rows; ++t) {
      for (std::size_t g = 0; g < group; ++g) std::copy_n(call.q.row(t) + (h * group + g) * d, d, q.view().row(g));
      const auto terms = policy.terms(call.shape.layer, h, q.view(), cache->storage(call.shape.layer));
      attend(reader, q, call.positions[t], call.shape.scale, out, terms.get(), wanted ? &mass[h] : nullptr);
      for (std::size_t g = 0; g < group; ++g)
        std::copy_n(out.view().row(g), d, call.output.row(t) + (h * group + g) * d);
      std::size_t seen = reader.k->slots();
      if (reader.window > 0) seen = std::min(seen, static_cast<std::size_t>(reader.window));
      pairs[h] += static_cast<double>(group * seen);
    }
  });
  if (wanted) policy.attended(call.shape.layer, call.q, mass, cache->storage(call.shape.layer));
  model::AttentionStats stats;
  for (const double p : pairs) stats.attended_pairs += p;
  stats.causal_pairs = stats.attended_pairs;
  stats.flops = 4 * static_cast<double>(d) * stats.attended_pairs;
  return stats;
}

}  // namespace lowbit::kv
