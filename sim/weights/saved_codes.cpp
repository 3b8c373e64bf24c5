#include "sim/weights/saved_codes.hpp"

#include <bit>

#include "formats/code_store.hpp"
#include "formats/error.hpp"
#include "formats/pack.hpp"

namespace lowbit::weights {
namespace {

constexpr const char* kLayout = "dense";

int width_of(const Element& element) {
  return bytes_per_code(element);
}

SafetensorsEntry side_entry(const std::string& name, const Element& element, const Shape& shape,
                            const std::vector<std::uint32_t>& values) {
  const int width = width_of(element);
  SafetensorsEntry entry{name, width == 1 ? "U8" : width == 2 ? "U16" : "U32", shape, {}};
  entry.bytes.resize(values.size() * static_cast<std::size_t>(width));
  for (std::size_t i = 0; i < values.size(); ++i)
    put_code(entry.bytes.data() + i * static_cast<std::size_t>(width), width, values[i]);
  return entry;
}

const Element& zero_element(const Format& format) {
  return format.zero_point == ZeroPoint::minimum ? *format.zero_element : *format.element;
}

std::size_t product(const Shape& shape) {
  std::size_t n = 1;
  for (const std::size_t extent : shape) n *= extent;
  return n;
}

}  // namespace

void CodesWriter::add(const std::string& layer, const Quantized& q) {
  const std::string name = layer + ".weight";
  const std::size_t rows = q.layout.outer(), columns = q.layout.length();
  auto bytes = pack_codes(pack_layout(kLayout), q.format.element->bits, q.codes, columns);
  entries_.push_back({name + "_codes", "U8", {rows, bytes.size() / rows}, std::move(bytes)});
  const Shape groups = scale_shape(q.format, q.layout);
  entries_.push_back(side_entry(name + "_scales", *q.format.scale_element, groups, q.scales));
  if (!q.zero_points.empty())
    entries_.push_back(side_entry(name + "_zero_points", zero_element(q.format), groups, q.zero_points));
  if (q.tensor_scale) {
    std::vector<std::uint8_t> scale(4);
    put_code(scale.data(), 4, std::bit_cast<std::uint32_t>(*q.tensor_scale));
    entries_.push_back({name + "_tensor_scale", "F32", {}, std::move(scale)});
  }
  formats_[layer] = to_string(q.format);
}

std::string CodesWriter::format_of(const std::string& layer) const {
  const auto found = formats_.find(layer);
  return found == formats_.end() ? "" : found->second;
}

std::string CodesWriter::file() const {
  return safetensors_file(entries_, R"({"lowbit_layout":"dense"})");
}

CodesReader::CodesReader(const std::string& path) : path_(path) {
  for (StoredTensor& tensor : open_safetensors(path)) tensors_.emplace(tensor.name, std::move(tensor));
}

const StoredTensor& CodesReader::need(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw_error(ExitCode::bad_data, "'{}': tensor {} is missing", path_, name);
  return found->second;
}

std::vector<std::uint32_t> CodesReader::side(const std::string& name, const Element& element, std::size_t count) const {
  const StoredTensor& tensor = need(name);
  const auto width = static_cast<std::size_t>(width_of(element));
  if (tensor.bytes != count * width)
    throw_error(ExitCode::bad_data, "{}: {} bytes, {} are expected", tensor.place(), tensor.bytes, count * width);
  const std::vector<std::byte> bytes = tensor.load_bytes();
  std::vector<std::uint32_t> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = get_code(reinterpret_cast<const std::uint8_t*>(bytes.data()) + i * width, static_cast<int>(width));
  return values;
}

Quantized CodesReader::read(const std::string& layer, const std::string& format, std::size_t rows,
                            std::size_t columns) const {
  const std::string name = layer + ".weight";
  Quantized q;
  q.format = parse_format(format);
  q.layout = Layout::matrix(rows, columns);
  if (q.format.element->bits > 8 || q.format.scale_element == nullptr)
    throw_error(ExitCode::bad_data, "'{}': format {} of {} has no packed codes", path_, format, layer);
  const StoredTensor& codes = need(name + "_codes");
  const PackLayout& packed = pack_layout(kLayout);
  const std::size_t expected = packed_size(packed, q.format.element->bits, rows, columns);
  if (codes.bytes != expected)
    throw_error(ExitCode::bad_data, "{}: {} bytes, {} are expected", codes.place(), codes.bytes, expected);
  const std::vector<std::byte> bytes = codes.load_bytes();
  const bool sign = q.format.element->is_integer() && q.format.zero_point == ZeroPoint::none;
  q.codes = unpack_codes(packed, q.format.element->bits,
                         {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, rows, columns, sign);
  const std::size_t groups = product(scale_shape(q.format, q.layout));
  q.scales = side(name + "_scales", *q.format.scale_element, groups);
  if (q.format.zero_point != ZeroPoint::none)
    q.zero_points = side(name + "_zero_points", zero_element(q.format), groups);
  if (q.format.second_level != SecondLevel::none)
    q.tensor_scale = std::bit_cast<float>(side(name + "_tensor_scale", element("fp32"), 1).front());
  return q;
}

}  // namespace lowbit::weights
