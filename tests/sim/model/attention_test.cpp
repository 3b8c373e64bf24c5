// Attention and its gradients against the formulas in double, query by query.
#include "sim/model/attention.hpp"

#include "sim/rng.hpp"
#include "tests/sim/model/support.hpp"

namespace lowbit::test {
namespace {

using namespace lowbit::model;

struct Values {
  std::size_t rows, columns;
  std::vector<float> data;
  std::vector<double> exact;

  Values(std::size_t r, std::size_t c) : rows(r), columns(c), data(r * c, 7.0f), exact(r * c) {}
  Values(std::size_t r, std::size_t c, const char* stream) : Values(r, c) {
    Rng rng(9, stream);
    for (std::size_t i = 0; i < data.size(); ++i) exact[i] = data[i] = static_cast<float>(rng.normal());
  }
  Rows view() { return {data.data(), rows, columns}; }
  double& at(std::size_t row, std::size_t column) { return exact[row * columns + column]; }
  double error() const {
    double distance = 0, norm = 0;
    for (std::size_t i = 0; i < data.size(); ++i) {
      distance += (data[i] - exact[i]) * (data[i] - exact[i]);
      norm += exact[i] * exact[i];
    }
    return std::sqrt(distance / norm);
  }
};

struct Case {
  AttentionShape shape;
  Values q, k, v, out, dout, dq, dk, dv;

  Case(const AttentionShape& s, std::size_t tokens)
      : shape(s),
        q(tokens, s.heads * s.head_dim, "q"),
        k(tokens, s.kv_heads * s.head_dim, "k"),
        v(tokens, s.kv_heads * s.head_dim, "v"),
        out(tokens, s.heads * s.head_dim),
        dout(tokens, s.heads * s.head_dim, "dout"),
        dq(tokens, s.heads * s.head_dim),
        dk(tokens, s.kv_heads * s.head_dim),
        dv(tokens, s.kv_heads * s.head_dim) {
    for (std::size_t head = 0; head < s.heads; ++head)
      for (std::size_t i = 0; i < tokens; ++i) query(head, i);
  }

  double product(Values& a, std::size_t i, std::size_t x, Values& b, std::size_t j, std::size_t y) {
    double sum = 0;
    for (std::size_t c = 0; c < shape.head_dim; ++c) sum += a.at(i, x + c) * b.at(j, y + c);
    return sum;
  }

  // p = softmax(scale q k), o = p v; dp = do v, ds = p (dp - sum p dp)
  void query(std::size_t head, std::size_t i) {
    const std::size_t d = shape.head_dim, x = head * d, y = head / (shape.heads / shape.kv_heads) * d;
    const auto window = static_cast<std::size_t>(shape.window);
    const std::size_t first = window > 0 && i + 1 > window ? i + 1 - window : 0;
    std::vector<double> p, dp;
    double sum = 0, mean = 0;
    for (std::size_t j = first; j <= i; ++j) sum += p.emplace_back(std::exp(shape.scale * product(q, i, x, k, j, y)));
    for (std::size_t j = first; j <= i; ++j) {
      p[j - first] /= sum;
      mean += p[j - first] * dp.emplace_back(product(dout, i, x, v, j, y));
    }
    for (std::size_t j = first; j <= i; ++j)
      for (std::size_t c = 0; c < d; ++c) {
        const double weight = p[j - first], ds = shape.scale * weight * (dp[j - first] - mean);
        out.at(i, x + c) += weight * v.at(j, y + c);
        dq.at(i, x + c) += ds * k.at(j, y + c);
        dk.at(j, y + c) += ds * q.at(i, x + c);
        dv.at(j, y + c) += weight * dout.at(i, x + c);
      }
  }
};

// Tiles of 128 queries: the last has one row, or is whole, or there is one query in all.
TEST_CASE("attention and its gradients are those of the formulas, for tiles of any height", "[model]") {
  for (const std::size_t tokens : {1, 2, 127, 128, 129, 257})
    for (const std::int64_t window : {0, 40})
      for (const std::size_t head_dim : {16, 80}) {
        const AttentionShape shape{0, 4, 2, head_dim, 1 / std::sqrt(static_cast<float>(head_dim)), window};
        Case c(shape, tokens);
        std::vector<std::int64_t> positions(tokens);
        for (std::size_t i = 0; i < tokens; ++i) positions[i] = static_cast<std::int64_t>(i);
        const Sequence sequence{0, 0, tokens, 0, nullptr};
        const AttentionCall call{shape,      sequence,   c.q.view(),   positions.data(),
                                 c.k.view(), c.v.view(), c.out.view(), test_threads()};
        const AttentionStats stats = plain_attention(call);
        plain_attention_backward(call, c.dout.view(), c.dq.view(), c.dk.view(), c.dv.view());
        CAPTURE(tokens, window, head_dim);
        double pairs = 0;
        for (std::size_t i = 1; i <= tokens; ++i)
          pairs += static_cast<double>(window > 0 ? std::min<std::size_t>(i, 40) : i);
        CHECK(stats.attended_pairs == 4 * pairs);
        for (const Values* tensor : {&c.out, &c.dv}) CHECK(tensor->error() < 1e-6);
        // one key alone: its weight is 1 whatever the score, so that no gradient flows
        for (Values* tensor : {&c.dq, &c.dk})
          if (tokens == 1)
            for (const float value : tensor->data) CHECK(std::abs(value) < 1e-6);
          else
            CHECK(tensor->error() < 1e-6);
      }
}

}  // namespace
}  // namespace lowbit::test
