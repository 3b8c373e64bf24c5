#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/early_exit/trace_file.hpp"

namespace lowbit::early_exit {

namespace {

template <class... Args>
std::optional<Problem> problem(const char* field, fmt::format_string<Args...> format, Args&&... args) {
  return Problem{field, fmt::format(format, std::forward<Args>(args)...)};
}

template <class T>
std::optional<Problem> length(const char* field, const std::vector<T>& values, std::size_t n, bool optional = true) {
  if (values.size() == n || (optional && values.empty())) return std::nullopt;
  return problem(field, "{} has {} entries, tok has {}", field, values.size(), n);
}

std::optional<Problem> check_lengths(const Trace& t) {
  const std::size_t n = t.sentences();
  if (n == 0) return problem("tok", "tok is empty: a trace has at least one sentence");
  for (const auto& p :
       {length("rank", t.rank, n, false), length("logp", t.logp, n, false), length("wait", t.wait, n),
        length("stage", t.stage, n), length("ans", t.ans, n), length("ok", t.ok, n),
        length("content_tok", t.content_tok, n), length("conf", t.conf, n), length("conf_geo", t.conf_geo, n),
        length("boost", t.boost, n), length("ties", t.ties, n), length("content_len", t.contents, n)}) {
    if (p) return p;
  }
  return std::nullopt;
}

std::optional<Problem> check_confidence(const char* field, const std::vector<double>& values) {
  for (std::size_t k = 0; k < values.size(); ++k) {
    if (values[k] == -1 || (values[k] >= 0 && values[k] <= 1)) continue;
    return problem(field, "{}[{}] is {}; accepted: 0 to 1, or -1 for unknown", field, k, values[k]);
  }
  return std::nullopt;
}

bool is_outcome(Outcome ok) {
  return ok >= Outcome::unknown && ok <= Outcome::right;
}

std::optional<Problem> check_signals(const Trace& t) {
  constexpr double kTolerance = 1e-5;
  for (std::size_t k = 0; k < t.sentences(); ++k) {
    if (t.tok[k] < 1) return problem("tok", "tok[{}] is {}; a sentence has at least 1 token", k, t.tok[k]);
    if (t.rank[k] < 1 || t.rank[k] > t.vocab_size) {
      return problem("rank", "rank[{}] is {}; accepted: 1 to vocab_size {}", k, t.rank[k], t.vocab_size);
    }
    if (!(t.logp[k] <= 0)) return problem("logp", "logp[{}] is {}; a log-probability is at most 0", k, t.logp[k]);
    const double bound = -std::log(static_cast<double>(t.rank[k]));
    if (t.logp[k] > bound + kTolerance) {
      return problem("logp", "logp[{}] is {}, above -ln(rank) = {:.6f} for rank {}", k, t.logp[k], bound, t.rank[k]);
    }
    if (!t.boost.empty() && !(t.boost[k] >= 0))
      return problem("boost", "boost[{}] is {}; accepted: >= 0", k, t.boost[k]);
    if (!t.content_tok.empty() && t.content_tok[k] < -1) {
      return problem("content_tok", "content_tok[{}] is {}; accepted: >= 0, or -1 for unknown", k, t.content_tok[k]);
    }
    if (!t.wait.empty() && t.wait[k] > 1) return problem("wait", "wait[{}] is {}; accepted: 0, 1", k, t.wait[k]);
    if (!t.ok.empty() && !is_outcome(t.ok[k])) {
      return problem("ok", "ok[{}] is {}; accepted: -1 (unknown), 0, 1", k, static_cast<int>(t.ok[k]));
    }
    if (!t.ties.empty() && t.ties[k] < 0) return problem("ties", "ties[{}] is {}; accepted: >= 0", k, t.ties[k]);
  }
  return std::nullopt;
}

std::optional<Problem> check_contents(const Trace& t) {
  const auto is_finite = [](double v) { return std::isfinite(v); };
  for (std::size_t k = 0; k < t.contents.size(); ++k) {
    const SampledContents& c = t.contents[k];
    const std::size_t samples = t.content_dim == 0 ? 0 : c.embedding.size() / t.content_dim;
    if (samples != c.length.size()) {
      return problem("content_len", "content_len[{}] has {} samples, content_embedding[{}] {}", k, c.length.size(), k,
                     samples);
    }
    if (!std::all_of(c.length.begin(), c.length.end(), [](double v) { return v >= 0 && std::isfinite(v); })) {
      return problem("content_len", "content_len[{}] holds a length that is negative or not finite", k);
    }
    if (!std::all_of(c.embedding.begin(), c.embedding.end(), is_finite)) {
      return problem("content_embedding", "content_embedding[{}] holds a value that is not finite", k);
    }
  }
  return std::nullopt;
}

std::optional<Problem> check_stages(const Trace& t) {
  int last = 0;
  for (std::size_t k = 0; k < t.stage.size(); ++k) {
    if (t.stage[k] > 3) return problem("stage", "stage[{}] is {}; accepted: 0 (unknown), 1, 2, 3", k, t.stage[k]);
    if (t.stage[k] == 0) continue;
    if (t.stage[k] < last)
      return problem("stage", "stage[{}] is {} after {}; stages never decrease", k, t.stage[k], last);
    last = t.stage[k];
  }
  return std::nullopt;
}

std::optional<Problem> check_end(const Trace& t) {
  const std::int64_t sum = std::accumulate(t.tok.begin(), t.tok.end(), std::int64_t{0});
  if (sum != t.end.think_tok) return problem("end", "sum of tok is {}, end.think_tok is {}", sum, t.end.think_tok);
  if (!is_outcome(t.end.ok)) {
    return problem("end", "end.ok is {}; accepted: -1 (unknown), 0, 1", static_cast<int>(t.end.ok));
  }
  if (t.end.content_tok < -1) return problem("end", "end.content_tok is {}; accepted: >= 0, or -1", t.end.content_tok);
  if (t.k_rcp < 0 || static_cast<std::size_t>(t.k_rcp) > t.sentences()) {
    return problem("k_rcp", "k_rcp is {}; accepted: 0 (unknown) to {} (sentences)", t.k_rcp, t.sentences());
  }
  if (!t.tok_rank.empty() && static_cast<std::int64_t>(t.tok_rank.size()) != sum) {
    return problem("tok_rank", "tok_rank has {} entries, the sum of tok is {}", t.tok_rank.size(), sum);
  }
  for (std::size_t i = 0; i < t.tok_rank.size(); ++i) {
    if (t.tok_rank[i] >= 1 && t.tok_rank[i] <= t.vocab_size) continue;
    return problem("tok_rank", "tok_rank[{}] is {}; accepted: 1 to vocab_size {}", i, t.tok_rank[i], t.vocab_size);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Problem> check(const Trace& t) {
  if (t.vocab_size < 1) return problem("vocab_size", "vocab_size is {}; accepted: >= 1", t.vocab_size);
  if (auto p = check_lengths(t)) return p;
  if (auto p = check_signals(t)) return p;
  if (auto p = check_confidence("conf", t.conf)) return p;
  if (auto p = check_confidence("conf_geo", t.conf_geo)) return p;
  if (auto p = check_stages(t)) return p;
  if (auto p = check_contents(t)) return p;
  return check_end(t);
}

}  // namespace lowbit::early_exit
