// Errors of a quantised cache: of its rows, of the weights of attention, of its output.
#pragma once
#include "experiments/papers/kvlinc/heads.hpp"

namespace lowbit::kvlinc {

/// ||x - y||_F / ||x||_F over all rows, sums in double.
double relative_error(ConstRows x, ConstRows y);

/// Softmax weights and outputs of the queries of a head.
struct Attention {
  std::vector<std::vector<float>> weights;  ///< per query head: queries x tokens, normalised, 0 for tokens not seen
  std::vector<Matrix> output;               ///< per query head: queries x d
};
/// Through the head's sliding window, where it has one.
Attention attention(const Head& head, ConstRows k, ConstRows v);

/// ||A - A^||_F / ||A||_F and ||O - O^||_F / ||O||_F, each the mean over the query heads of the group.
struct AttentionErrors {
  double weights = 0, output = 0;
};
AttentionErrors attention_errors(const Attention& exact, const Attention& changed);

/// What a method keeps of all tokens of a head without a residual window, read back: keys after RoPE in their own basis
/// and values. Tokens that do not fill a group stay as they are. `whole`: the head is sealed in one block (GEAR).
struct Kept {
  Matrix k, v;
  kv::Bytes bytes;
};
Kept keep(const Head& head, const std::string& method, kv::MethodOptions options);

/// Keys (or values) of a head after one scheme: "raw_channel", "had_channel", "raw_token", "had_token".
struct Scheme {
  Matrix rows;            ///< read back, turned back
  double mean_scale = 0;  ///< of the groups' scales; NaN where the format has none
};
/// `fit`: other rows of the same kind, from whose maximum, in the scheme's basis, a second-level scale comes; nullptr:
/// from the rows themselves.
Scheme apply_scheme(ConstRows rows, const std::string& scheme, const Format& format, const Matrix* fit = nullptr);

/// int2:gG:min:s=fp16:z=fp16
Format min_format(int bits, std::size_t group);

}  // namespace lowbit::kvlinc
