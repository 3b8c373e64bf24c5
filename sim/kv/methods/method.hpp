// Methods: how keys and values of each layer are kept. One file each in this folder, one line each in registry.cpp.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/format.hpp"
#include "sim/kv/policy.hpp"

namespace lowbit::kv {

struct MethodOptions {
  int bits = 2;                        ///< of the codes, 2 to 8
  std::size_t group = 128;             ///< tokens of a channel-wise, channels of a token-wise group
  std::optional<std::size_t> v_group;  ///< of values where it differs
  std::size_t residual = 128;          ///< tokens that stay open
  std::size_t sinks = 0;               ///< first tokens that stay open for good
  std::optional<Format> format;        ///< elements and scales in place of integers with fp16 scale and minimum
  bool group_span_layer = false;       ///< token-wise groups and thresholds run over the heads of the layer
  std::size_t rank = 4;                ///< GEAR
  std::size_t block = 0;               ///< GEAR: most tokens of a block; 0: what is sealed at once (a prompt)
  std::uint64_t seed = 1;              ///< random rotations and starting vectors
};

/// Keys and values of tokens that methods with tables are fitted to: T x kv_heads * head_dim each. Squared gradients of
/// the model's loss with respect to keys before RoPE and values: for methods that ask for them.
struct Calibration {
  ConstRows k_pre, k, v;
  ConstRows k_pre_squares = {}, v_squares = {};
};

class Method {
 public:
  virtual ~Method() = default;
  /// Whether rules() needs a calibration.
  virtual bool fitted() const { return false; }
  /// Whether the calibration must have squared gradients.
  virtual bool wants_gradients() const { return false; }
  virtual LayerRules rules(const LayerShape& shape, const Calibration* calibration) const = 0;
};

/// The method of that name: fp, kivi, kivi_pre, quarot, kvlinc, had_channel, per_token, gear, gear_l, resq, kvquant,
/// kvquant_0, kvquant_post, kvquant_uniform, kvquant_percentile, kvquant_percentile_uniform, kvquant_fisher,
/// kvquant_qnorm, kvquant_fisher_qnorm, or KEYS+VALUES with each of raw_channel, had_channel, raw_token, had_token
/// ("raw_channel+had_token"). Errors (usage): another name, bits outside of 2 .. 8, what the codecs refuse.
std::shared_ptr<const Method> make_method(const std::string& name, const MethodOptions& options);
std::vector<std::string> method_names();

/// What the options become on heads of this size, for the report; empty where they are taken as they are.
std::string shape_note(const MethodOptions& options, const LayerShape& shape);

// What the files of this folder share.

/// Integers of options.bits with fp16 scale and minimum in groups of `group`, or options.format in its place.
Format code_format(const MethodOptions& options, std::size_t group);
/// A token-wise group: at most the head, or the layer with group_span_layer.
std::size_t token_group(std::size_t group, const MethodOptions& options, const LayerShape& shape);
/// The tokens that `method` is fitted to. Error (bad_data) where there are none.
const Calibration& fitting_tokens(const Calibration* calibration, const char* method);
/// Keys or values by name of scheme, with the window `kind`.
Side plain_side(const std::string& scheme, std::size_t group, Window::Kind kind, const MethodOptions& options,
                const LayerShape& shape);

using MethodPtr = std::shared_ptr<const Method>;
MethodPtr make_kivi(const MethodOptions& options, bool before_rope);
MethodPtr make_quarot(const MethodOptions& options);
MethodPtr make_kvlinc(const MethodOptions& options, bool rotate_keys);
MethodPtr make_per_token(const MethodOptions& options);
MethodPtr make_gear(const MethodOptions& options, bool outliers);
MethodPtr make_resq(const MethodOptions& options);
struct KvQuantOptions {
  double outliers = 0.01;  ///< share of values kept exactly
  bool before_rope = true;
  bool uniform = false;           ///< equally spaced levels instead of k-means
  bool fisher = false;            ///< k-means weighted by squared gradients
  bool q_norm = false;            ///< levels moved so that what is decoded has the moments of the calibration values
  bool percentile_range = false;  ///< a token's range ends at its percentiles, not at the largest values between them
};
MethodPtr make_kvquant(const MethodOptions& options, const KvQuantOptions& own);
MethodPtr make_pair(const std::string& keys, const std::string& values, const MethodOptions& options);

}  // namespace lowbit::kv
