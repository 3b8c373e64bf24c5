#include "sim/model/quantised_cache.hpp"

#include <algorithm>

#include "formats/error.hpp"
#include "sim/model/hooks.hpp"
#include "sim/model/model.hpp"
#include "sim/model/site_rules.hpp"

namespace lowbit::model {
namespace {

class QuantisedCache : public PlainCache {
 public:
  QuantisedCache(const Config& config, std::shared_ptr<const std::vector<CacheFormats>> layers, Maxima* maxima)
      : PlainCache(config.layers, config.kv_heads, config.head_dim), formats_(std::move(layers)), maxima_(maxima) {}

  std::size_t bytes() const override;

 protected:
  void store(int layer, std::int64_t first_position, Rows k, Rows v) override;

 private:
  void quantise(const std::optional<SiteFormat>& format, const Transform& transform, std::uint64_t stream,
                const std::string& site, std::int64_t first_position, Rows rows);

  std::shared_ptr<const std::vector<CacheFormats>> formats_;
  Maxima* maxima_;
};

void QuantisedCache::quantise(const std::optional<SiteFormat>& format, const Transform& transform, std::uint64_t stream,
                              const std::string& site, std::int64_t first_position, Rows rows) {
  if (!format || rows.rows == 0) return;
  const Layout heads = Layout::matrix(rows.rows * kv_heads_, head_dim_);
  apply(transform, heads, rows.data, rows.data);
  if (maxima_ != nullptr) {
    float& seen = (*maxima_)[site];
    seen = std::max(seen, finite_amax(rows.data, heads.size()));
  }
  QuantizeContext context{stream, static_cast<std::uint64_t>(first_position) * rows.columns, format->fixed_maximum};
  fake_quantize(format->format, heads, rows.data, rows.data, context);
  apply_inverse(transform, heads, rows.data, rows.data);
}

void QuantisedCache::store(int layer, std::int64_t first_position, Rows k, Rows v) {
  const CacheFormats& formats = (*formats_)[static_cast<std::size_t>(layer)];
  const std::string name = fmt::format("model.layers.{}.self_attn.", layer);
  quantise(formats.k, *formats.k_transform, formats.k_stream, name + "k", first_position, k);
  quantise(formats.v, *formats.v_transform, formats.v_stream, name + "v", first_position, v);
}

std::size_t QuantisedCache::bytes() const {
  double bits = 0;
  for (std::size_t layer = 0; layer < formats_->size(); ++layer) {
    const CacheFormats& formats = (*formats_)[layer];
    for (const auto* format : {&formats.k, &formats.v})
      bits +=
          stored_bits(*format ? &**format : nullptr, layer_rows(static_cast<int>(layer)) * kv_heads_, head_dim_, false);
  }
  return static_cast<std::size_t>(bits / 8);
}

}  // namespace

void check_cache_format(const SiteFormat& site_format, const std::string& site) {
  const Format& format = site_format.format;
  if (format.second_level != SecondLevel::none && !site_format.fixed_maximum)
    throw_error(ExitCode::usage,
                "{}: '{}' has a second-level scale over the whole tensor, which a growing cache does not know; use "
                "ts=none or ts=static:FILE",
                site, to_string(format));
  if (format.group == GroupKind::tensor || format.group == GroupKind::tile)
    throw_error(ExitCode::usage, "{}: '{}' has groups over several tokens; a cache takes gN, channel or plain casts",
                site, to_string(format));
}

QuantisedCacheFactory::QuantisedCacheFactory(std::vector<CacheFormats> layers, Maxima* maxima)
    : layers_(std::make_shared<const std::vector<CacheFormats>>(std::move(layers))), maxima_(maxima) {}

std::unique_ptr<KvCache> QuantisedCacheFactory::make(const Hooks& hooks) {
  return std::make_unique<QuantisedCache>(hooks.model().config(), layers_, maxima_);
}

}  // namespace lowbit::model
