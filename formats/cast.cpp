#include "formats/cast.hpp"

#include <cmath>

#include "formats/block_quantizer.hpp"
#include "formats/code_store.hpp"
#include "formats/word_source.hpp"

namespace lowbit {
namespace {

/// Under `flush`, values below the smallest normal float count as zero of their sign.
template <class Float>
Float input(const Format& format, Float v) {
  return format.flush && std::fabs(v) < Float{0x1p-126f} ? std::copysign(Float{0}, v) : v;
}

}  // namespace

template <class Float>
void fake_cast(const Format& format, const Layout& layout, const Float* x, float* y, const QuantizeContext& context) {
  const Element& element = coded_element(format);
  WordSource words(format, context);
  for (std::size_t i = 0, n = layout.size(); i < n; ++i)
    y[i] = round_to(element, input(format, x[i]), format.conversion, words(i));
}

template <class Float>
Quantized encode_cast(const Format& format, const Layout& layout, const Float* x, const QuantizeContext& context) {
  const Element& element = coded_element(format);
  Quantized out{format, layout, bytes_per_code(element), {}, {}, {}, {}};
  const std::size_t n = layout.size();
  out.codes.resize(n * out.code_bytes);
  WordSource words(format, context);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t code = encode(element, input(format, x[i]), format.conversion, words(i));
    put_code(out.codes.data() + i * out.code_bytes, out.code_bytes, stored_code(format, code));
  }
  return out;
}

void decode_cast(const Quantized& quantized, float* y) {
  const Element& element = *quantized.format.element;
  for (std::size_t i = 0, n = quantized.layout.size(); i < n; ++i) y[i] = decode(element, quantized.code(i));
}

template void fake_cast(const Format&, const Layout&, const float*, float*, const QuantizeContext&);
template void fake_cast(const Format&, const Layout&, const double*, float*, const QuantizeContext&);
template Quantized encode_cast(const Format&, const Layout&, const float*, const QuantizeContext&);
template Quantized encode_cast(const Format&, const Layout&, const double*, const QuantizeContext&);

}  // namespace lowbit
