#include "sim/model/generate.hpp"

#include <algorithm>
#include <cmath>

#include "sim/portable_math.hpp"

namespace lowbit::model {

const Hooks& StepControl::hooks(const Step&, const Hooks& usual) {
  return usual;
}
bool StepControl::logits(const Step&, std::span<float>) {
  return true;
}
bool StepControl::chosen(const Step&, std::int32_t) {
  return true;
}

std::int32_t choose_token(std::span<const float> logits, double temperature, Rng& rng) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < logits.size(); ++i)
    if (logits[i] > logits[best] || std::isnan(logits[best])) best = i;
  if (temperature <= 0) return static_cast<std::int32_t>(best);
  const auto weight = [&](std::size_t i) {
    return std::isnan(logits[i]) ? 0 : portable_exp((static_cast<double>(logits[i]) - logits[best]) / temperature);
  };
  double total = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) total += weight(i);
  double left = rng.uniform() * total;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    left -= weight(i);
    if (left < 0) return static_cast<std::int32_t>(i);
  }
  return static_cast<std::int32_t>(best);
}

std::vector<std::int32_t> generate(const Hooks& hooks, KvCache& cache, std::span<const std::int32_t> prompt,
                                   const GenerateOptions& options, Threads& threads, StepControl* control,
                                   const std::function<void(std::int32_t)>& emit) {
  StepControl plain;
  if (control == nullptr) control = &plain;
  Rng rng(options.seed, "generate");
  std::vector<std::int32_t> tokens(prompt.begin(), prompt.end());
  std::size_t given = 0;  // tokens that the cache has seen
  for (std::size_t step = 0; step < options.max_tokens; ++step) {
    const auto unseen = static_cast<std::int64_t>(tokens.size() - given);
    const Step now{step, cache.next_position() + unseen, tokens};
    const Hooks& own = control->hooks(now, hooks);
    const TokenSpan span{std::span<const std::int32_t>(tokens).subspan(given), &cache};
    const PassResult pass = forward(own, {&span, 1}, threads);
    given = tokens.size();
    Matrix logits = last_logits(own, pass, threads);
    if (!control->logits(now, {logits.data(), logits.columns()})) break;
    const std::int32_t token = choose_token({logits.data(), logits.columns()}, options.temperature, rng);
    if (!control->chosen(now, token)) break;
    if (std::find(options.stop_tokens.begin(), options.stop_tokens.end(), token) != options.stop_tokens.end()) break;
    tokens.push_back(token);
    if (emit) emit(token);
  }
  return {tokens.begin() + static_cast<std::ptrdiff_t>(prompt.size()), tokens.end()};
}

}  // namespace lowbit::model
