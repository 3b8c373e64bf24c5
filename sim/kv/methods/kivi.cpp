// KIVI (Liu et al., arXiv 2402.02750; github.com/jy-yuan/KIVI): keys after RoPE in groups of G tokens of a channel,
// values in groups of G channels of a token, asymmetric integers with fp16 scale and minimum. Keys are sealed R at a
// time, of the values the oldest token once more than R are open.
//
// kivi_pre is KIVI* of XQuant (arXiv 2508.10395): the same with keys before RoPE.
//
// Differs from the paper: groups of values end at the head (64 channels on heads of 64), where the published code
// demands that G divides the head.
#include "sim/kv/methods/method.hpp"

namespace lowbit::kv {
namespace {

class Kivi : public Method {
 public:
  Kivi(const MethodOptions& options, bool before_rope) : options_(options), before_rope_(before_rope) {}
  LayerRules rules(const LayerShape& shape, const Calibration*) const override {
    LayerRules rules;
    rules.k = plain_side("raw_channel", options_.group, Window::Kind::filled, options_, shape);
    rules.k.before_rope = before_rope_;
    rules.v =
        plain_side("raw_token", options_.v_group.value_or(options_.group), Window::Kind::sliding, options_, shape);
    return rules;
  }

 private:
  MethodOptions options_;
  bool before_rope_;
};

}  // namespace

MethodPtr make_kivi(const MethodOptions& options, bool before_rope) {
  return std::make_shared<Kivi>(options, before_rope);
}

}  // namespace lowbit::kv
