#include "experiments/tools/tensor_input.hpp"

#include <cstdlib>

#include "formats/error.hpp"
#include "sim/source/tensor_source.hpp"

namespace lowbit {

Layout layout_along(const Shape& shape, const std::string& axis, const std::string& place) {
  const Shape axes = shape.empty() ? Shape{1} : shape;
  const auto rank = static_cast<std::int64_t>(axes.size());
  const std::int64_t position = parse_integer(axis, "--axis");
  if (position < -rank || position >= rank)
    throw_error(ExitCode::usage, "--axis: {} is not accepted; {} has shape {}: from {} to {}", position, place,
                to_string(shape), -rank, rank - 1);
  return Layout(axes, static_cast<int>(position));
}

TensorInput read_tensor(const std::string& spec, const std::string& axis) {
  const StoredTensor stored = open_tensor(spec);
  TensorInput input{
      stored.name, stored.place(), stored.shape, layout_along(stored.shape, axis, stored.place()), stored.dtype, {},
      {}};
  if (stored.dtype == DType::f64) {
    input.wide = stored.load_double();
    input.values.assign(input.wide.begin(), input.wide.end());
  } else {
    input.values = stored.load_float();
  }
  return input;
}

void declare_axis(CommandLine& line) {
  line.value("axis", "N", "axis along which groups and blocks run; negative counts from the last", "-1");
}

namespace {

bool rounds_from_double(const Format& format, const Transform& transform, const TensorInput& input) {
  return !input.wide.empty() && !format.is_block() && transform.block() == 0;
}

}  // namespace

std::vector<float> quantise_values(const Format& format, const Transform& transform, const TensorInput& input,
                                   std::uint64_t stream) {
  std::vector<float> y(input.values.size());
  const QuantizeContext context{stream, 0, std::nullopt};
  if (rounds_from_double(format, transform, input)) {
    fake_quantize_ref(format, input.layout, input.wide.data(), y.data(), context);
  } else {
    apply_and_quantise(transform, format, input.layout, false, input.values.data(), y.data(), context);
  }
  return y;
}

Quantized quantise_codes(const Format& format, const Transform& transform, const TensorInput& input,
                         std::uint64_t stream) {
  const QuantizeContext context{stream, 0, std::nullopt};
  if (rounds_from_double(format, transform, input)) return encode_ref(format, input.layout, input.wide.data(), context);
  if (transform.block() == 0) return encode(format, input.layout, input.values.data(), context);
  std::vector<float> rotated(input.values.size());
  apply(transform, input.layout, input.values.data(), rotated.data());
  return encode(format, input.layout, rotated.data(), context);
}

}  // namespace lowbit
