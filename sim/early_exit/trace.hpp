// A reasoning trace as early-exit detectors see it: one entry per sentence of the thinking text, then how it ended.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lowbit::early_exit {

/// Three-valued outcome: whether an answer is right.
enum class Outcome : std::int8_t { unknown = -1, wrong = 0, right = 1 };

/// How a trace ended if nobody stopped it.
struct TraceEnd {
  bool natural = true;            ///< ended by its own end-of-thinking token (false: token cap)
  std::int64_t think_tok = 0;     ///< thinking tokens
  std::int64_t content_tok = -1;  ///< tokens of the answer text, -1 unknown
  Outcome ok = Outcome::unknown;
};

/// Contents sampled after one sentence: their embeddings, samples x dim in C order, and their lengths (tokens or
/// sentences, one unit throughout).
struct SampledContents {
  std::vector<double> embedding;
  std::vector<double> length;  ///< one a sample
};

/// One trace of N sentences; array field i belongs to the end of sentence i (0-based). Optional fields are empty where the
/// trace does not have the signal; per-entry gaps are the values noted. Field names are those of the trace file format
/// "rcp-trace-1".
struct Trace {
  std::string id, model, dataset, end_token;
  std::int64_t end_token_id = -1;
  std::int64_t vocab_size = 0;
  std::string gold;

  std::vector<std::int32_t> tok;    ///< tokens in the sentence, >= 1
  std::vector<std::int32_t> rank;   ///< 1 + number of tokens with strictly larger logit than the end token's
  std::vector<double> logp;         ///< natural log of the end token's probability; -inf allowed

  std::vector<std::uint8_t> wait;          ///< next token is a transition word
  std::vector<std::uint8_t> stage;         ///< 1, 2, 3; 0 unknown; never decreasing
  std::vector<std::int32_t> ans;           ///< index into `answers` of the forced answer, -1 none
  std::vector<Outcome> ok;                 ///< correctness of the answer forced here
  std::vector<std::int32_t> content_tok;   ///< length of the content forced here, -1 unknown
  std::vector<double> conf;                ///< confidence of a trial answer, arithmetic mean of token probabilities; -1 unknown
  std::vector<double> conf_geo;            ///< the same, geometric mean
  std::vector<double> boost;               ///< (max y - y_end) / (max y - mean y)
  std::vector<std::int32_t> ties;          ///< tokens whose logit equals the end token's
  std::vector<std::int32_t> tok_rank;      ///< rank after every token, sum(tok) entries
  std::vector<std::string> answers;        ///< distinct forced answers
  std::vector<SampledContents> contents;   ///< sampled if thinking is stopped here; the numbers of samples may differ
  std::size_t content_dim = 0;             ///< of their embeddings

  TraceEnd end;
  std::int32_t k_rcp = 0;                  ///< reasoning completion point, 1-based sentence; 0 unknown
  bool simulated = false;

  std::size_t sentences() const { return tok.size(); }
};

}  // namespace lowbit::early_exit
