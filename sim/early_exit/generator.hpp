// Simulated reasoning traces, calibrated so that the published detector gives the published table on them.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "sim/early_exit/detector.hpp"
#include "sim/early_exit/rank_change.hpp"
#include "sim/early_exit/trace.hpp"

namespace lowbit::early_exit {

/// Parameters of one (model, benchmark mix). A row of the table; everything else about the generator is shared.
struct Profile {
  std::string_view name;     ///< as on the command line: "qwen3-8b"
  std::string_view title;    ///< as printed
  double reach_mean;         ///< mT: mean thinking tokens to the completion point
  double reach_sigma;        ///< sT: log-normal sigma of the same
  double over_mean;          ///< mO: mean overthinking tokens
  double accuracy;           ///< a: accuracy at the completion point of an item of mean difficulty
  double harm;               ///< q_h: probability that overthinking flips a right answer
  double accuracy_no_think;  ///< a0
  double false_dip;          ///< p_fd: probability per sentence of a false dip before the completion point
};

/// All profiles, the one that the generator was fitted to first.
std::span<const Profile> profiles();
/// Error for an unknown name: lists the known ones.
const Profile& profile(std::string_view name);

/// Constants that every profile shares. Not stated in the paper: the generator is this project's model of the paper's
/// rank curve (Figure: about 1000 at the start, 200 to 1000 before the completion point, near 0 after it with spikes).
struct GeneratorModel {
  double difficulty_correlation = 0.5;  ///< rho between difficulty and log reach
  double over_sigma = 0.9;
  double loop_probability = 0.01;    ///< overthinking without end
  std::int64_t token_limit = 31500;  ///< thinking tokens at which a trace is cut
  double sentence_mean = 30, sentence_sigma = 0.6;
  int sentence_min = 4;
  double stage1_share = 0.15;
  double stage1_mean = 3.0, stage1_sd = 0.30;
  double stage2_mean = 2.55, stage2_sd = 0.45;
  double ar = 0.5;  ///< AR(1) coefficient of stages 1 and 2; sd is the stationary deviation
  double dip_mean = 1.25, dip_sd = 0.30, dip_continue = 0.5;
  double fall_means[4] = {2.2, 1.6, 1.2, 0.85};
  double fall_sd = 0.2;
  double stage3_mean = 0.85, stage3_sd = 0.40;
  double recheck_probability = 0.12, recheck_length = 3, recheck_mean = 2.2, recheck_sd = 0.4;
  double log_rank_max = 5.18;
  double wait_probability = 0.03;
  double confidence_sd = 1.2, confidence_shift = 1.2;
  double answer_redraw = 0.05;
  double difficulty_slope = 1.44;
  double recover = 0.012;  ///< wrong answer that overthinking puts right
  double partial_ceiling = 0.85, partial_power = 1.6;
  double content_after = 1200, content_before = 4600, content_slope = 1000;
  double rank_noise = 0;                    ///< s: N(0, s) added to log10 rank of each sentence (quantised KV cache)
  const RankChange* rank_change = nullptr;  ///< measured instead: added too, neighbours correlated by its lag1
};

/// The signals of a generated trace. It models the end token at sentence ends and one confidence: no logits, no tokens
/// inside sentences, no probabilities of a trial answer's tokens.
inline constexpr std::uint32_t kGeneratedSignals = kRank | kLogp | kWait | kTrialConfidence | kForcedAnswer;

/// Trace number `id` of a profile: a function of (seed, profile, id) and the model alone. Rank noise (and a measured
/// change) comes from a stream of its own, so that traces with and without noise share everything else. The outcome and
/// content length of a stop after each sentence are stored with the trace (`ok`, `content_tok`), the no-think outcome
/// in `no_think`.
struct Generated {
  Trace trace;
  Outcome no_think = Outcome::unknown;
  std::int64_t no_think_content = 0;
};
Generated generate(const Profile& profile, std::uint64_t seed, std::uint64_t id, const GeneratorModel& model = {});

}  // namespace lowbit::early_exit
