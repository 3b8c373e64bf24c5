#include "sim/early_exit/model_probe.hpp"

#include <algorithm>

#include "sim/early_exit/trace_file.hpp"
#include "sim/model/generate.hpp"
#include "sim/portable_math.hpp"

namespace lowbit::early_exit {

namespace {

/// Probability of each greedy token: that of the largest logit. The last is that of a stop token where one ended the
/// text.
class Confidence final : public model::StepControl {
 public:
  bool logits(const model::Step&, std::span<float> values) override {
    float top = values[0];
    for (const float y : values) top = std::max(top, y);
    double total = 0;
    for (const float y : values) total += portable_exp(static_cast<double>(y) - top);
    logs_.push_back(-portable_log(total));
    return true;
  }
  /// Of the first n tokens.
  void put(std::size_t n, LiveAnswer& answer) const {
    if (n == 0) return;
    double sum = 0, logs = 0;
    for (std::size_t i = 0; i < n; ++i) sum += portable_exp(logs_[i]), logs += logs_[i];
    answer.confidence = std::min(1.0, sum / static_cast<double>(n));
    answer.confidence_geometric = portable_exp(logs / static_cast<double>(n));
  }

 private:
  std::vector<double> logs_;
};

std::string trimmed(const std::string& text) {
  const char* blanks = " \t\n\v\f\r";
  const std::size_t first = text.find_first_not_of(blanks);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

}  // namespace

LiveProbe model_probe(const model::Hooks& hooks, ProbeOptions options, LiveRun::TokenText text, Threads& threads) {
  return [&hooks, options = std::move(options), text = std::move(text), &threads](
             Probe probe, std::span<const std::int32_t> thinking) {
    const bool trial = probe == Probe::trial_answer;
    std::vector<std::int32_t> prefix = options.prompt;
    prefix.insert(prefix.end(), thinking.begin(), thinking.end());
    if (trial)
      prefix.insert(prefix.end(), options.trial_prompt.begin(), options.trial_prompt.end());
    else
      prefix.push_back(options.end_token);
    model::GenerateOptions generation;
    generation.max_tokens = trial ? options.trial_tokens : options.answer_tokens;
    generation.stop_tokens = options.stop_tokens;
    Confidence confidence;
    const auto cache = hooks.make_cache();
    const auto tokens = model::generate(hooks, *cache, prefix, generation, threads, &confidence);
    LiveAnswer answer;
    for (const std::int32_t token : tokens) answer.text += text(token);
    answer.text = valid_utf8(trimmed(answer.text));
    answer.tokens = static_cast<std::int64_t>(tokens.size());
    if (trial) confidence.put(tokens.size(), answer);
    return answer;
  };
}

}  // namespace lowbit::early_exit
