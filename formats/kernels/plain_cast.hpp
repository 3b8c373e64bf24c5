// Plain casts on vectors: every value alone, without a scale. The caller has set the floating-point state.
#pragma once
#include <cstddef>
#include <cstdint>

#include "formats/kernels/element_params.hpp"

namespace lowbit::kernels {

struct CastPlan {
  ElementParams element;
  Rounding rounding = Rounding::rne;  ///< rne, rna or sr
  bool wide = false;                  ///< the exponents are those of float
  float bound = 0;                    ///< narrow: any value that rounds beyond the largest
  float over = 0;                     ///< magnitude of what is beyond the largest, or NaN
  float nan = 0;                      ///< value of NaN
  std::uint32_t nan_code = 0;
  int code_bytes = 1;
  std::uint64_t seed = 0, stream_number = 0;
};
/// False if only the reference casts to the format.
bool make_cast(const Format& format, std::uint64_t stream_number, CastPlan& plan);

/// `index`: flat index of the first value.
void cast_values(const CastPlan& plan, const float* x, float* y, std::size_t n, std::uint64_t index, bool stream);
/// Little-endian codes of plan.code_bytes, integers sign-extended.
void cast_codes(const CastPlan& plan, const float* x, std::uint8_t* codes, std::size_t n, std::uint64_t index);

}  // namespace lowbit::kernels
