// GPTQ of one layer with its Hessian from 16384 tokens, on 2 threads; the Hessian's rate beside that of sgemm.
#include <cblas.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "sim/rng.hpp"
#include "sim/weights/gptq.hpp"
#include "sim/weights/moment.hpp"

using namespace lowbit;
using namespace lowbit::weights;

namespace {

constexpr std::size_t kTokens = 16384;

double seconds_of(const auto& work) {
  double best = HUGE_VAL;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

Matrix draw(std::size_t rows, std::size_t columns, std::uint64_t stream) {
  Matrix x(rows, columns);
  Rng rng(1, stream);
  for (std::size_t i = 0; i < rows * columns; ++i) x.data()[i] = static_cast<float>(rng.uniform(-1, 1));
  return x;
}

/// Gflop/s of square sgemms, one on each thread: what these cores can do.
double sgemm_peak(Threads& threads) {
  constexpr std::size_t n = 1536;
  std::vector<Matrix> a, c;
  for (std::size_t t = 0; t < threads.count(); ++t) a.push_back(draw(n, n, t)), c.emplace_back(n, n);
  const double seconds = seconds_of([&] {
    threads.parallel_for(threads.count(), [&](std::size_t t) {
      cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, n, n, 1, a[t].data(), n, a[t].data(), n, 0, c[t].data(),
                  n);
    });
  });
  return 2.0 * n * n * n * static_cast<double>(threads.count()) / seconds / 1e9;
}

void measure(std::size_t in, std::size_t out, double peak, Threads& threads) {
  const Matrix x = draw(kTokens, in, 11), w = draw(out, in, 12);
  MomentSum sum;
  const double hessian = seconds_of([&] {
    sum = MomentSum(in);
    sum.add(x, threads);
  });
  // the triangle is what has to be computed: in (in + 1) / 2 products of two flops a token
  const double rate = static_cast<double>(in * (in + 1) * kTokens) / hessian / 1e9;
  Matrix q(out, in);
  const arma::mat moment = sum.mean();
  const double solve = seconds_of([&] {
    const Grid grid = Grid::make(parse_format("nvfp4"), w, ScaleSearch::mse, threads);
    const GptqOptions options{0.01, 128, ColumnOrder::act};
    gptq(w, gptq_factor(moment, zero_columns(w), options), grid, options, q, threads);
  });
  fmt::print(
      "in {:4} out {:4}: Hessian {:.3f} s ({:.0f} Gflop/s of the triangle, {:.2f} of sgemm), grid and GPTQ {:.3f} s, "
      "together {:.3f} s\n",
      in, out, hessian, rate, rate / peak, solve, hessian + solve);
}

}  // namespace

int main() {
  Threads threads(2);
  const double peak = sgemm_peak(threads);
  fmt::print("{} threads, sgemm {:.0f} Gflop/s\n", threads.count(), peak);
  measure(576, 1536, peak, threads);
  measure(1536, 576, peak, threads);
}
