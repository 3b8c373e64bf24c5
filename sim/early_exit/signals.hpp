// What the logits after a token say about the end-of-thinking token: rank, ties, probability, distance to the largest.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace lowbit::early_exit {

/// Signals of one distribution of the next token.
struct EndSignals {
  std::int32_t rank = 0;  ///< 1 + tokens with a strictly larger logit
  std::int32_t ties = 0;  ///< other tokens with an equal logit; they do not count in the rank
  double logp = 0;        ///< natural logarithm of the end token's probability, at most -ln(rank); -Inf allowed
  double boost = 0;       ///< (max y - y_end) / (max y - mean y) of the logits y; 0 where y_end is the largest
};

/// Of raw logits (before temperature and top-p), at least one; sums in double in order of the tokens. A logit of -Inf
/// is a token that cannot come: left out of the mean, and for the end token itself logp is -Inf and boost +Inf. Error
/// (bad_data): NaN or +Inf among the logits, all of them -Inf, an end token outside the vocabulary. Not stated in the
/// paper: what rank means under ties, and whether it is taken of raw logits.
EndSignals end_signals(std::span<const float> logits, std::int32_t end_token);

/// The rank alone, for every token of a text. Errors as above.
std::int32_t end_rank(std::span<const float> logits, std::int32_t end_token);

/// Rank and ties a second way: the place of the end token's logit in the stably sorted logits.
EndSignals end_rank_by_sorting(std::span<const float> logits, std::int32_t end_token);

/// Tokens, the end token among them, whose logit lies within `margin` of the end token's: by how much the rank may
/// differ between two computations whose logits agree that closely.
std::int32_t near_end_token(std::span<const float> logits, std::int32_t end_token, double margin);

}  // namespace lowbit::early_exit
