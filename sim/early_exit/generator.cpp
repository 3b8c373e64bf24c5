#include "sim/early_exit/generator.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "sim/portable_math.hpp"
#include "sim/rng.hpp"

namespace lowbit::early_exit {

namespace {

double sigmoid(double x) { return 1 / (1 + portable_exp(-x)); }
double logit(double p) { return portable_log(p / (1 - p)); }

/// Mean-corrected log-normal: mean * exp(sigma z - sigma^2 / 2).
double log_normal(double mean, double sigma, double z) { return mean * portable_exp(sigma * z - sigma * sigma / 2); }

/// What decides whether an answer is right, wherever the trace is stopped. The same uniforms serve every stop, so that
/// detectors are compared on the same luck.
struct Luck {
  bool right_at_rcp, right_at_end;
  double partial;  ///< u of a stop before the completion point
  double flip;     ///< u of a stop after it
  double base;     ///< a0 / a
};

Luck draw_luck(const Profile& p, const GeneratorModel& m, double difficulty, Rng& rng) {
  Luck luck{};
  luck.right_at_rcp = rng.uniform() < sigmoid(logit(p.accuracy) - m.difficulty_slope * difficulty);
  const double end = rng.uniform();
  luck.right_at_end = luck.right_at_rcp ? end >= p.harm : end < m.recover;
  luck.partial = rng.uniform();
  luck.flip = rng.uniform();
  luck.base = p.accuracy_no_think / p.accuracy;
  return luck;
}

/// Right if stopped before the completion point after a fraction f of the way.
bool right_before(const Luck& luck, const GeneratorModel& m, double f, bool in_dip) {
  double r = luck.base + (m.partial_ceiling - luck.base) * portable_pow(f, m.partial_power);
  if (in_dip) r = std::max(r, m.partial_ceiling);
  return luck.right_at_rcp && luck.partial < r;
}

/// log10 of the end token's rank, sentence by sentence.
class RankProcess {
 public:
  RankProcess(const Profile& p, const GeneratorModel& m) : profile_(p), model_(m) {}

  bool in_dip() const { return in_dip_; }

  /// stage 1, 2 or 3; `since` sentences since the completion point in stage 3.
  double next(int stage, std::size_t since, Rng& rng) {
    in_dip_ = false;
    if (stage == 3) return after(since, rng);
    const double mean = stage == 1 ? model_.stage1_mean : model_.stage2_mean;
    const double sd = stage == 1 ? model_.stage1_sd : model_.stage2_sd;
    const double draw = sd * rng.normal();
    // sd is the stationary deviation; the process restarts at each stage
    deviation_ = stage == stage_ ? model_.ar * deviation_ + std::sqrt(1 - model_.ar * model_.ar) * draw : draw;
    stage_ = stage;
    if (stage == 2 && dip_left_ == 0 && rng.uniform() < profile_.false_dip) {
      dip_left_ = 1;
      while (rng.uniform() < model_.dip_continue) ++dip_left_;
    }
    if (dip_left_ == 0 || stage == 1) return mean + deviation_;
    --dip_left_;
    in_dip_ = true;
    return model_.dip_mean + model_.dip_sd * rng.normal();
  }

 private:
  double after(std::size_t since, Rng& rng) {
    stage_ = 3;
    if (since < std::size(model_.fall_means)) return model_.fall_means[since] + model_.fall_sd * rng.normal();
    if (recheck_left_ == 0 && rng.uniform() < model_.recheck_probability) {
      recheck_left_ = 1;
      while (rng.uniform() < 1 - 1 / model_.recheck_length) ++recheck_left_;
    }
    if (recheck_left_ == 0) return model_.stage3_mean + model_.stage3_sd * rng.normal();
    --recheck_left_;
    return model_.recheck_mean + model_.recheck_sd * rng.normal();
  }

  const Profile& profile_;
  const GeneratorModel& model_;
  int stage_ = 0, dip_left_ = 0, recheck_left_ = 0;
  double deviation_ = 0;
  bool in_dip_ = false;
};

/// Changes drawn from measured quantiles; a Gaussian AR(1) gives neighbours their correlation.
class MeasuredChange {
 public:
  explicit MeasuredChange(const RankChange* change) : change_(change) {}

  double next(double x, Rng& rng) {
    const double draw = rng.normal(), rho = change_->lag1;
    z_ = started_ ? rho * z_ + std::sqrt(1 - rho * rho) * draw : draw;
    started_ = true;
    return change_at(*change_, x, 0.5 * (1 + portable_erf(z_ / std::sqrt(2.0))));
  }

 private:
  const RankChange* change_;
  double z_ = 0;
  bool started_ = false;
};

std::int32_t sentence_length(const GeneratorModel& m, Rng& rng) {
  const double length = log_normal(m.sentence_mean, m.sentence_sigma, rng.normal());
  return std::max(m.sentence_min, static_cast<int>(std::lround(length)));
}

}  // namespace

Generated generate(const Profile& p, std::uint64_t seed, std::uint64_t id, const GeneratorModel& m) {
  const std::string name = fmt::format("rcp/{}/{}", p.name, id);
  Rng rng(seed, name), noise(seed, name + "/noise");

  const double difficulty = rng.normal();
  const double rho = m.difficulty_correlation;
  const double reach = log_normal(p.reach_mean, p.reach_sigma, rho * difficulty + std::sqrt(1 - rho * rho) * rng.normal());
  const double over = log_normal(p.over_mean, m.over_sigma, rng.normal());
  const bool loops = rng.uniform() < m.loop_probability;
  const Luck luck = draw_luck(p, m, difficulty, rng);

  const double limit = static_cast<double>(m.token_limit);
  const double wanted = loops ? limit : std::min(limit, reach + over);
  const auto end = std::max<std::int64_t>(1, std::llround(wanted));

  Generated result;
  Trace& t = result.trace;
  t.simulated = true;
  t.id = fmt::format("{}-{}", p.name, id);
  t.model = p.title;
  t.dataset = "simulated";
  t.end_token = "</think>";
  t.vocab_size = 151936;  // Qwen3; log_rank_max keeps every rank below it
  t.answers = {"right"};
  result.no_think = right_before(luck, m, 0, false) ? Outcome::right : Outcome::wrong;
  result.no_think_content = std::llround(m.content_before);

  RankProcess ranks(p, m);
  MeasuredChange perturbation(m.rank_change);
  std::int64_t tokens = 0;
  std::int32_t wrong_id = 0;
  for (std::size_t k = 0; tokens < end; ++k) {
    const auto length = static_cast<std::int32_t>(std::min<std::int64_t>(sentence_length(m, rng), end - tokens));
    tokens += length;
    if (t.k_rcp == 0 && static_cast<double>(tokens) >= reach) t.k_rcp = static_cast<std::int32_t>(k) + 1;
    const bool converged = t.k_rcp != 0;
    const double f = std::min(1.0, static_cast<double>(tokens) / reach);
    const int stage = converged ? 3 : f <= m.stage1_share ? 1 : 2;

    double x = ranks.next(stage, converged ? k + 1 - static_cast<std::size_t>(t.k_rcp) : 0, rng);
    if (m.rank_noise > 0) x += m.rank_noise * noise.normal();
    if (m.rank_change != nullptr) x += perturbation.next(std::clamp(x, 0.0, m.log_rank_max), noise);
    x = std::clamp(x, 0.0, m.log_rank_max);
    const double rank = std::max(1.0, std::round(portable_pow(10.0, x)));
    const double probability =
        std::min({0.99, 1 / rank, portable_pow(10.0, -0.3 - 1.6 * x + 0.35 * rng.normal())});

    const bool wait = rng.uniform() < m.wait_probability;
    const double confidence = sigmoid((converged ? m.confidence_shift : 0) + m.confidence_sd * rng.normal());
    if (wrong_id == 0 || (!converged && rng.uniform() < m.answer_redraw)) {
      t.answers.push_back(fmt::format("wrong-{}", ++wrong_id));
    }
    t.tok.push_back(length);
    t.rank.push_back(static_cast<std::int32_t>(rank));
    t.logp.push_back(portable_log(probability));
    t.wait.push_back(wait);
    t.stage.push_back(static_cast<std::uint8_t>(stage));
    t.conf.push_back(confidence);
    t.content_tok.push_back(static_cast<std::int32_t>(
        std::lround(converged ? m.content_after : m.content_before - m.content_slope * f)));
    // outcome after the completion point needs the number of sentences: second pass
    const bool right = converged ? luck.right_at_rcp : right_before(luck, m, f, ranks.in_dip());
    t.ok.push_back(right ? Outcome::right : Outcome::wrong);
    t.ans.push_back(wrong_id);
  }

  const std::size_t n = t.sentences();
  if (t.k_rcp != 0) {
    const auto first = static_cast<std::size_t>(t.k_rcp) - 1;
    for (std::size_t k = first; k < n; ++k) {
      const double share = n - 1 > first ? static_cast<double>(k - first) / static_cast<double>(n - 1 - first) : 0;
      const bool right = luck.flip < share ? luck.right_at_end : luck.right_at_rcp;
      t.ok[k] = right ? Outcome::right : Outcome::wrong;
    }
  }
  for (std::size_t k = 0; k < n; ++k) {
    if (t.ok[k] == Outcome::right) t.ans[k] = 0;
  }
  t.end.natural = end < m.token_limit;
  t.end.think_tok = tokens;
  t.end.content_tok = std::llround(m.content_after);
  t.end.ok = luck.right_at_end ? Outcome::right : Outcome::wrong;
  return result;
}

}  // namespace lowbit::early_exit
