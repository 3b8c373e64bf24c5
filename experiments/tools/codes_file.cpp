#include "experiments/tools/codes_file.hpp"

#include <bit>
#include <cmath>
#include <numeric>

#include "formats/code_store.hpp"
#include "formats/codec.hpp"
#include "formats/error.hpp"
#include "formats/like/like.hpp"
#include "formats/scale_rule.hpp"
#include "results/store/hdf5_file.hpp"
#include "sim/source/guard.hpp"
#include "sim/source/input_file.hpp"
#include "sim/source/text.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit {
namespace {

using store::Array;
using store::Group;

constexpr const char* kFileType = "lowbit_codes";
constexpr std::int64_t kMajor = 1, kMinor = 0;
constexpr const char* kLayout = "one code a value, C order, in the low bits";
constexpr int kLongestTable = 19;  // bits: TF32; the codes of fp32 are the float's own bits

// Codes in the narrowest unsigned type that holds `bits`.
store::ArrayData narrow(const std::vector<std::uint32_t>& codes, int bits) {
  if (bits <= 8) return std::vector<std::uint8_t>(codes.begin(), codes.end());
  if (bits <= 16) return std::vector<std::uint16_t>(codes.begin(), codes.end());
  return codes;
}

std::vector<float> table_of(const Element& element, bool is_unsigned, double unit) {
  std::vector<float> table(std::size_t{1} << element.bits);
  for (std::uint32_t code = 0; code < table.size(); ++code)
    table[code] = static_cast<float>((is_unsigned ? code : static_cast<double>(decode(element, code))) * unit);
  return table;
}

// Scales and minima: fp32 as floats, others as codes with the element named.
Array side_array(const std::string& name, const Shape& shape, const Element& element,
                 const std::vector<std::uint32_t>& codes) {
  Array array{name, {}, shape, {}, {{"element", std::string(element.name)}}};
  if (element.bits < 32) {
    array.data = narrow(codes, element.bits);
    return array;
  }
  std::vector<float> values;
  for (const std::uint32_t bits : codes) values.push_back(std::bit_cast<float>(bits));
  array.data = std::move(values);
  return array;
}

double unit_of(const Format& f) {
  const bool implicit = f.scale_element && f.scale_element->kind == ElementKind::exponent;
  return implicit ? std::ldexp(1.0, -implicit_exponent(*f.element)) : 1.0;
}

Group to_tree(const CodesFile& file) {
  const Quantized& q = file.quantized;
  const Format& f = q.format;
  Group root;
  root.set("filetype", std::string(kFileType));
  root.set("version", std::vector<std::int64_t>{kMajor, kMinor});
  root.set("format", to_string(f));
  root.set("long_form", long_form(f));
  root.set("axis", std::int64_t{q.layout.axis});
  root.set("layout", std::string(kLayout));
  root.set("rank", static_cast<std::int64_t>(file.shape.size()));
  root.set("tensor", file.name);
  root.set("transform", file.transform);
  root.set("keep_rotated", std::int64_t{file.keep_rotated});

  std::vector<std::uint32_t> codes(q.layout.size());
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = q.code(i);
  root.arrays.push_back({"codes",
                         {},
                         q.layout.shape,
                         narrow(codes, f.element->bits),
                         {{"element", std::string(f.element->name)}, {"bits", std::int64_t{f.element->bits}}}});
  if (f.element->bits <= kLongestTable) {
    const std::vector<float> table = table_of(*f.element, f.zero_point != ZeroPoint::none, unit_of(f));
    root.arrays.push_back({"decode_table", {}, {table.size()}, table, {}});
  }
  const Shape groups = scale_shape(f, q.layout);
  if (f.scale_element) {
    root.arrays.push_back(side_array("scales", groups, *f.scale_element, q.scales));
    if (f.scale_element->bits <= kLongestTable) {
      const std::vector<float> table = table_of(*f.scale_element, false, 1);
      root.arrays.push_back({"scale_table", {}, {table.size()}, table, {}});
    }
  }
  if (f.zero_point != ZeroPoint::none)
    root.arrays.push_back(side_array("zero_points", groups,
                                     f.zero_point == ZeroPoint::minimum ? *f.zero_element : *f.element, q.zero_points));
  if (q.tensor_scale) root.arrays.push_back({"tensor_scale", {}, {1}, std::vector<float>{*q.tensor_scale}, {}});
  return root;
}

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw_error(ExitCode::bad_data, "{}: {}", in_quotes(path), what);
}

template <class T>
T attribute(const Group& root, const std::string& path, const char* name, const T& fallback) {
  const store::AttributeValue* value = root.attribute(name);
  if (!value) return fallback;
  const T* typed = std::get_if<T>(value);
  if (!typed) refuse(path, fmt::format("attribute {} has another type than expected", name));
  return *typed;
}

// Unsigned integers of any width, or the bits of floats.
std::vector<std::uint32_t> codes_of(const Array& array, const std::string& path) {
  std::vector<std::uint32_t> codes;
  codes.reserve(array.size());
  std::visit(
      [&](const auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        for (const auto& v : values) {
          if constexpr (std::is_same_v<T, float>)
            codes.push_back(std::bit_cast<std::uint32_t>(v));
          else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, double>)
            refuse(path, fmt::format("dataset {} has another type than expected (integers, or float32)", array.name));
          else if (static_cast<std::int64_t>(v) < 0 || static_cast<std::int64_t>(v) > std::int64_t{0xffffffff})
            refuse(path, fmt::format("dataset {} holds {}; codes from 0 are expected", array.name, v));
          else
            codes.push_back(static_cast<std::uint32_t>(v));
        }
      },
      array.data);
  return codes;
}

std::vector<std::uint32_t> side_codes(const Group& root, const std::string& path, const char* name, const Shape& groups,
                                      const Element& element) {
  const Array* array = root.array(name);
  if (!array) refuse(path, fmt::format("dataset {} is missing; the format has it", name));
  const std::size_t count = std::accumulate(groups.begin(), groups.end(), std::size_t{1}, std::multiplies<>());
  if (array->size() != count)
    refuse(path,
           fmt::format("dataset {} has shape {}; {} is expected", name, to_string(array->shape), to_string(groups)));
  const bool floats = std::holds_alternative<std::vector<float>>(array->data);
  if (floats != (element.bits == 32))
    refuse(path, fmt::format("dataset {} has another type than {} has", name, element.name));
  const std::vector<std::uint32_t> codes = codes_of(*array, path);
  for (const std::uint32_t code : codes)
    if (element.bits < 32 && code >> element.bits != 0)
      refuse(path,
             fmt::format("dataset {} holds {}, beyond the {} bits of {}", name, code, element.bits, element.name));
  return codes;
}

void read_sides(const Group& root, const std::string& path, Quantized& q) {
  const Format& f = q.format;
  const Shape groups = scale_shape(f, q.layout);
  if (f.scale_element) q.scales = side_codes(root, path, "scales", groups, *f.scale_element);
  if (f.zero_point != ZeroPoint::none)
    q.zero_points = side_codes(root, path, "zero_points", groups,
                               f.zero_point == ZeroPoint::minimum ? *f.zero_element : *f.element);
  if (f.second_level != SecondLevel::none) {
    const Array* scale = root.array("tensor_scale");
    const auto* values = scale ? std::get_if<std::vector<float>>(&scale->data) : nullptr;
    if (!values || values->size() != 1) refuse(path, "dataset tensor_scale: one float32 is expected");
    q.tensor_scale = values->front();
  }
}

void store_codes(Quantized& q, const std::vector<std::uint32_t>& codes, const std::string& path) {
  const Element& e = *q.format.element;
  const std::uint64_t limit = e.kind == ElementKind::codebook ? e.codebook.size() : std::uint64_t{1} << e.bits;
  q.code_bytes = bytes_per_code(e);
  q.codes.resize(codes.size() * static_cast<std::size_t>(q.code_bytes));
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (codes[i] >= limit)
      refuse(path,
             fmt::format("dataset codes holds {} at {}; {} has codes from 0 to {}", codes[i], i, e.name, limit - 1));
    put_code(q.codes.data() + i * static_cast<std::size_t>(q.code_bytes), q.code_bytes,
             stored_code(q.format, codes[i]));
  }
}

// The long form decides, so that a preset that changes later cannot change what a file means; the short name is kept
// where both still say the same.
Format format_of(const Group& root, const std::string& path) {
  const auto name = attribute<std::string>(root, path, "format", "");
  const auto whole = attribute<std::string>(root, path, "long_form", name);
  try {
    const Format format = parse_format(whole);
    if (whole == name) return format;
    const Format named = parse_format(name);
    return named == format ? named : format;
  } catch (const Error& error) {
    refuse(path, error.what());
  }
}

Group read_tree(const std::string& path) {
  const std::uint64_t bytes = InputFile(path).size();
  try_in_child([&] { store::read_tree(path); }, in_quotes(path), bytes);
  return store::read_tree(path);
}

}  // namespace

bool is_codes_path(const std::string& path) {
  const auto ends = [&](const std::string& ending) {
    return path.size() >= ending.size() && path.compare(path.size() - ending.size(), ending.size(), ending) == 0;
  };
  return ends(".h5") || ends(".hdf5");
}

bool has_codes(const Format& format) {
  return format.like.empty() || like::implementation(format.like).encode != nullptr;
}

std::vector<std::byte> encode_codes(const std::string& path, const CodesFile& file) {
  if (file.quantized.layout.size() == 0)
    throw_error(ExitCode::bad_data, "{}: a tensor without values has no codes", in_quotes(path));
  return store::encode_tree(to_tree(file));
}

void write_codes(const std::string& path, const CodesFile& file, bool force) {
  store::write_atomically(path, encode_codes(path, file), force ? store::Overwrite::replace : store::Overwrite::refuse);
}

CodesFile read_codes(const std::string& path) {
  const Group root = read_tree(path);
  if (attribute<std::string>(root, path, "filetype", "") != kFileType)
    refuse(path, fmt::format("is not a codes file: attribute filetype is not {}", kFileType));
  const auto version = attribute<std::vector<std::int64_t>>(root, path, "version", {});
  if (version.empty() || version[0] != kMajor)
    refuse(path, fmt::format("is a codes file of another version (accepted: {}.x)", kMajor));
  CodesFile file;
  Quantized& q = file.quantized;
  q.format = format_of(root, path);
  const Array* codes = root.array("codes");
  if (!codes) refuse(path, "dataset codes is missing");
  const std::int64_t axis = attribute<std::int64_t>(root, path, "axis", -1),
                     rank = static_cast<std::int64_t>(codes->shape.size());
  if (axis < -rank || axis >= rank)
    refuse(path, fmt::format("axis {} of codes of shape {}", axis, to_string(codes->shape)));
  q.layout = Layout(codes->shape, static_cast<int>(axis));
  file.shape = attribute<std::int64_t>(root, path, "rank", rank) == 0 ? Shape{} : codes->shape;
  store_codes(q, codes_of(*codes, path), path);
  read_sides(root, path, q);
  file.name = attribute<std::string>(root, path, "tensor", "");
  file.transform = attribute<std::string>(root, path, "transform", "id");
  try {
    check_fits(*parse_transform(file.transform), q.layout, "the codes");
  } catch (const Error& error) {
    refuse(path, error.what());
  }
  file.keep_rotated = attribute<std::int64_t>(root, path, "keep_rotated", 0) != 0;
  return file;
}

}  // namespace lowbit
