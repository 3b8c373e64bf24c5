// A cache whose keys and values are quantised token by token as they are stored.
#pragma once
#include <memory>
#include <vector>

#include "sim/model/kv_cache.hpp"
#include "sim/model/quantised_sites.hpp"

namespace lowbit::model {

/// Formats of one layer's keys and values; no value: float32.
struct CacheFormats {
  std::optional<SiteFormat> k, v;
  std::shared_ptr<const Transform> k_transform, v_transform;  ///< along the head, undone after quantising
  std::uint64_t k_stream = 0, v_stream = 0;
};

/// Per token along the head dimension, after RoPE, no residual window: groups never cross tokens or heads, so that the
/// codes do not depend on how tokens are divided into passes. `maxima`: as in attach.
class QuantisedCacheFactory : public CacheFactory {
 public:
  QuantisedCacheFactory(std::vector<CacheFormats> layers, Maxima* maxima);
  std::unique_ptr<KvCache> make(const Hooks& hooks) override;

 private:
  std::shared_ptr<const std::vector<CacheFormats>> layers_;
  Maxima* maxima_;
};

/// Error (usage) for a format that cannot be sealed token by token: dynamic second-level scales, whole-tensor groups,
/// tiles.
void check_cache_format(const SiteFormat& format, const std::string& site);

}  // namespace lowbit::model
