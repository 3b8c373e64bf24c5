// KVQuant (Hooper et al., arXiv 2401.18079; github.com/SqueezeAILab/KVQuant): keys before RoPE, each channel with a
// range fixed on calibration tokens; values with a range a token; levels by k-means over normalised calibration values;
// the values beyond two percentiles kept exactly in a side list (1 %).
//
// kvquant_fisher weights the k-means by the diagonal Fisher information, the squared gradient of the loss with respect
// to each calibration value, as the paper does where it has gradients; kvquant_qnorm moves the levels by Q-Norm, which
// the paper proposes for 2 bits; kvquant_fisher_qnorm does both.
//
// Differs from the paper: kvquant itself has neither (they need a model, and drawn heads have none); gradients of one
// text instead of 16; ranges of values a head unless group_span_layer is set (the paper: the whole token). Not stated
// in the paper: the starting centroids (equally spaced quantiles here), whether the moments of Q-Norm are weighted (not
// here).
#include <algorithm>
#include <cmath>

#include "formats/error.hpp"
#include "sim/kv/methods/method.hpp"
#include "sim/kv/nuq_codec.hpp"

namespace lowbit::kv {
namespace {

class KvQuant : public Method {
 public:
  KvQuant(const MethodOptions& options, const KvQuantOptions& own) : options_(options), own_(own) {}
  bool fitted() const override { return true; }
  bool wants_gradients() const override { return own_.fisher; }

  LayerRules rules(const LayerShape& shape, const Calibration* given) const override {
    const Calibration& calibration = fitting_tokens(given, "kvquant");
    if (own_.fisher && (calibration.k_pre_squares.rows == 0 || calibration.v_squares.rows == 0))
      throw_error(ExitCode::usage,
                  "kvquant_fisher: no gradients of a model's loss to weight by; kvquant takes levels without");
    LayerRules rules;
    const Window window{Window::Kind::sliding, options_.residual, options_.sinks};
    rules.k.window = rules.v.window = window;
    rules.k.before_rope = own_.before_rope;
    rules.v.whole_layer = options_.group_span_layer;
    const ConstRows k = own_.before_rope ? calibration.k_pre : calibration.k;
    const std::size_t d = shape.head_dim;

    const std::vector<ChannelRange> ranges = channel_ranges(k, own_.outliers);
    const auto key_levels = std::make_shared<const NuqLevels>(
        levels(normalised(k, ranges, own_.fisher ? calibration.k_pre_squares : ConstRows())));
    for (std::size_t h = 0; h < shape.kv_heads; ++h) {
      const auto first = ranges.begin() + static_cast<std::ptrdiff_t>(h * d);
      rules.k.codecs.push_back(std::make_shared<NuqCodec>(
          key_levels, std::vector<ChannelRange>(first, first + static_cast<std::ptrdiff_t>(d)), own_.outliers > 0));
    }
    const std::size_t width = rules.v.whole_layer ? shape.kv_heads * d : d;
    Samples values;
    for (std::size_t h = 0; h < shape.kv_heads * d / width; ++h) {
      const ConstRows weights = own_.fisher ? calibration.v_squares.part(h * width, width) : ConstRows();
      const Samples part =
          normalised_tokens(calibration.v.part(h * width, width), own_.outliers, own_.percentile_range, weights);
      values.values.insert(values.values.end(), part.values.begin(), part.values.end());
      values.weights.insert(values.weights.end(), part.weights.begin(), part.weights.end());
    }
    rules.v.codecs = {std::make_shared<NuqCodec>(levels(std::move(values)), own_.outliers, own_.percentile_range)};
    return rules;
  }

 private:
  NuqLevels levels(const Samples& samples) const {
    const std::size_t count = std::size_t{1} << options_.bits;
    const std::vector<float> own = own_.uniform ? uniform_levels(count) : k_means(samples, count);
    if (own_.q_norm) return {own, normalised_levels(own, samples.values)};
    return own;
  }

  MethodOptions options_;
  KvQuantOptions own_;
};

}  // namespace

MethodPtr make_kvquant(const MethodOptions& options, const KvQuantOptions& own) {
  if (options.format)
    throw_error(ExitCode::usage, "kvquant has levels of its own and takes no format ('{}')",
                to_string(*options.format));
  return std::make_shared<KvQuant>(options, own);
}

}  // namespace lowbit::kv
