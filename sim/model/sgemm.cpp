#include "sim/model/sgemm.hpp"

#ifdef LOWBIT_HAVE_DNNL
#include <dnnl.h>
#include <fmt/format.h>
#include <omp.h>

#include <new>
#include <stdexcept>
#else
#include <cblas.h>
#endif

#include <algorithm>
#include <cassert>

namespace lowbit::model {
namespace {

#ifdef LOWBIT_HAVE_DNNL
// Rows whole KiB apart on both sides of a b^T cost the library a fifth of its speed; so much apart, they lie beside
// each other in the caches. Then those of b move to where they do not.
ConstRows apart(ConstRows b) {
  static thread_local Buffer buffer;
  const std::size_t stride = b.columns + 16;
  buffer.resize(std::max(buffer.size(), b.rows * stride));
  const Rows copy(buffer.data(), b.rows, b.columns, stride);
  copy_rows(b, copy);
  return copy;
}

void product(const Operand& a, Operand b, Rows c, float beta) {
  // the library's own threads are per calling thread; those of the program share the tiles
  static thread_local const bool single = (omp_set_num_threads(1), true);
  (void)single;
  constexpr std::size_t kKiB = 1024 / sizeof(float);
  if (!a.transposed && b.transposed && a.stored.stride % kKiB == 0 && b.stored.stride % kKiB == 0)
    b.stored = apart(b.stored);
  const auto size = [](std::size_t n) { return static_cast<dnnl_dim_t>(n); };
  const auto letter = [](const Operand& operand) { return operand.transposed ? 'T' : 'N'; };
  const dnnl_status_t status =
      dnnl_sgemm(letter(a), letter(b), size(c.rows), size(c.columns), size(a.columns()), 1, a.stored.data,
                 size(a.stored.stride), b.stored.data, size(b.stored.stride), beta, c.data, size(c.stride));
  if (status == dnnl_out_of_memory) throw std::bad_alloc();
  if (status != dnnl_success) throw std::logic_error(fmt::format("dnnl_sgemm refused a product ({})", int{status}));
}
#else
void product(const Operand& a, const Operand& b, Rows c, float beta) {
  const auto size = [](std::size_t n) { return static_cast<int>(n); };
  const auto op = [](const Operand& operand) { return operand.transposed ? CblasTrans : CblasNoTrans; };
  cblas_sgemm(CblasRowMajor, op(a), op(b), size(c.rows), size(c.columns), size(a.columns()), 1, a.stored.data,
              size(a.stored.stride), b.stored.data, size(b.stored.stride), beta, c.data, size(c.stride));
}
#endif

}  // namespace

void sgemm(const Operand& a, const Operand& b, Rows c, Sum sum) {
  assert(a.rows() == c.rows && b.columns() == c.columns && a.columns() == b.rows());
  if (c.rows == 0 || c.columns == 0) return;
  if (a.columns() > 0) return product(a, b, c, sum == Sum::add ? 1.0f : 0.0f);
  if (sum == Sum::replace)
    for (std::size_t i = 0; i < c.rows; ++i) std::fill_n(c.row(i), c.columns, 0.0f);
}

std::string sgemm_library() {
#ifdef LOWBIT_HAVE_DNNL
  const dnnl_version_t& v = *dnnl_version();
  return fmt::format("oneDNN {}.{}.{} (instruction set {:#x})", v.major, v.minor, v.patch,
                     static_cast<unsigned>(dnnl_get_effective_cpu_isa()));
#else
  return "";
#endif
}

}  // namespace lowbit::model
