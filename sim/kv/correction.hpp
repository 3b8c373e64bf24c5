// Linear correction of attention over a quantised cache (KVLinC, arXiv 2510.05373): a state of constant size stands for
// what the keys lost in quantisation.
//
//   y_n = (sum_i exp(l_ni - m_n) v^_i + phi_q(q_n) S_n) / (sum_i exp(l_ni - m_n) + phi_q(q_n) P_n)
//   S_n = sum over sealed i of phi_k(e_i)^T v^_i (D x d),  P_n = sum of phi_k(e_i)^T (D),  e_i = k_i - k^_i
//
// with l_ni = scale q_n . k^_i and m_n the running maximum of the logits: the states are relative to it, as linear
// attention trained in place of softmax does it (LoLCATs, arXiv 2410.10254). Features phi(x) = [softmax(x W),
// softmax(-x W)], at least 1e-12, W d x D/2; phi_q of each query head, times a learned gain e^a; phi_k of the KV head.
//
// Differs from the paper: the gain (LoLCATs mixes its two parts by learned factors). Not stated in the paper: whether
// phi_k reads e_i or k_i (e_i here, as "correcting the quantisation error" says), the feature map, the scale of the
// states, initial values (Kaiming uniform, bound sqrt(6 / d)), the loss (squared error times 1000), learning rates.
#pragma once
#include <vector>

#include "sim/kv/attend.hpp"
#include "sim/rng.hpp"

namespace lowbit::kv {

/// What training and evaluation read of one KV head on one chunk of tokens: sums that do not depend on the adapters.
struct CorrectionData {
  std::size_t tokens = 0, d = 0;
  std::vector<double> error;        ///< tokens x d: k - k^, zero where a token is never sealed
  std::vector<double> value;        ///< tokens x d: v^
  std::vector<std::size_t> sealed;  ///< slots sealed for the query of each token, rising
  struct Queries {
    std::vector<double> q;            ///< tokens x d
    std::vector<double> numerator;    ///< tokens x d: sum_i exp(l - m) v^_i
    std::vector<double> denominator;  ///< tokens
    std::vector<double> target;       ///< tokens x d: attention without quantisation
  };
  std::vector<Queries> heads;
};

/// The adapters of one KV head and its query heads, in double.
class Correction {
 public:
  /// D = features, even; `query_heads` of the group. `gain`: e^a at the start.
  Correction(std::size_t d, std::size_t features, std::size_t query_heads, double gain, Rng rng);

  std::size_t features() const { return features_; }
  /// phi_k's W (d x D/2), then for each query head W and a.
  const std::vector<double>& parameters() const { return parameters_; }
  std::vector<double>& parameters() { return parameters_; }

  /// Corrected outputs, tokens x d for each query head.
  std::vector<std::vector<double>> outputs(const CorrectionData& data) const;
  /// 1000 times the mean squared error; its gradient is added to `gradient` where given (as many as parameters).
  double loss(const CorrectionData& data, std::vector<double>* gradient) const;

  /// Adds the state of sealed rows to `state`: S (D x d) and then P (D).
  void add_state(const double* error, const double* value, std::size_t rows, std::vector<double>& state) const;
  /// phi_k of rows of d values: rows x D.
  std::vector<double> key_features(const std::vector<double>& errors) const;
  /// phi_q of rows of d values, gain of the query head included: rows x D.
  std::vector<double> query_features(std::size_t head, const std::vector<double>& q) const;

 private:
  struct Pass;
  const double* key_map() const { return parameters_.data(); }
  const double* query_map(std::size_t head) const { return parameters_.data() + map_size() + head * (map_size() + 1); }
  std::size_t map_size() const { return d_ * features_ / 2; }
  double gain(std::size_t head) const;

  std::size_t d_, features_, query_heads_;
  std::vector<double> parameters_;
};

/// The terms of attend() from a state S, P: the plain quantiser is the same code with an empty state, bit for bit.
class CorrectionTerms : public Terms {
 public:
  /// `queries`: one row a query head, as attend gets them (before the key basis); `state` in the basis of v.
  CorrectionTerms(const Correction& correction, ConstRows queries, const std::vector<double>& state);
  void add(std::size_t query, float maximum, float* numerator, double& denominator) const override;

 private:
  std::size_t features_, d_;
  std::vector<std::vector<double>> u_;
  const std::vector<double>& state_;
};

/// AdamW with decoupled decay (Loshchilov and Hutter, arXiv 1711.05101), all in double.
class AdamW {
 public:
  AdamW(std::size_t n, double rate, double decay = 0) : rate(rate), decay_(decay), first_(n), second_(n) {}
  void step(std::vector<double>& parameters, const std::vector<double>& gradient);
  double rate;

 private:
  double decay_;
  long steps_ = 0;
  std::vector<double> first_, second_;
};

}  // namespace lowbit::kv
