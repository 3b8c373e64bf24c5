// The quantiser of KVLinC (Saxena and Roy, arXiv 2510.05373): raw keys in groups of G tokens of a channel, Hadamard
// rotated values in groups of channels of a token; both are sealed when R tokens are open, so that the correction
// states gain whole blocks. Its adapters: sim/kv/correction.hpp.
//
// had_channel rotates the keys as well and keeps their channel-wise groups: a combination that the paper leaves out of
// its tables.
//
// Differs from the paper: groups of values end at the head. Not stated in the paper: whether keys are taken before or
// after RoPE (after, as KIVI), and the length of the residual window (128 by the printed average bits).
#include "sim/kv/methods/method.hpp"

namespace lowbit::kv {
namespace {

class KvLinC : public Method {
 public:
  KvLinC(const MethodOptions& options, bool rotate_keys) : options_(options), rotate_keys_(rotate_keys) {}
  LayerRules rules(const LayerShape& shape, const Calibration*) const override {
    const std::string keys = rotate_keys_ ? "had_channel" : "raw_channel";
    const std::size_t v_group = options_.v_group.value_or(options_.group);
    return {plain_side(keys, options_.group, Window::Kind::filled, options_, shape),
            plain_side("had_token", v_group, Window::Kind::filled, options_, shape)};
  }

 private:
  MethodOptions options_;
  bool rotate_keys_;
};

}  // namespace

MethodPtr make_kvlinc(const MethodOptions& options, bool rotate_keys) {
  return std::make_shared<KvLinC>(options, rotate_keys);
}

}  // namespace lowbit::kv
