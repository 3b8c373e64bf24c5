// What a format does to a block, in formulas a reader can check by hand: for `lowbit formats NAME`.
#pragma once
#include <string>

#include "formats/format.hpp"

namespace lowbit {

/// All are empty where a named implementation (like=) has a pipeline of its own.
struct FormatEquations {
  std::string scale;   ///< how scale, second-level scale and zero point follow from the block
  std::string encode;  ///< value x -> code
  std::string decode;  ///< code -> value y
  std::string source;  ///< where the scale comes from
};

FormatEquations format_equations(const Format& format);

}  // namespace lowbit
