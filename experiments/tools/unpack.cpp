// lowbit unpack: a published container as a codes file.
#include "experiments/tools/codes_file.hpp"
#include "experiments/tools/container.hpp"
#include "experiments/tools/npy_output.hpp"
#include "experiments/tools/output.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/error.hpp"
#include "sim/source/tensor_source.hpp"
#include "sim/source/text.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit {
namespace {

struct Source {
  std::string path, name;
  std::vector<StoredTensor> tensors;

  const StoredTensor* find(const std::string& suffix) const {
    for (const StoredTensor& tensor : tensors)
      if (tensor.name == name + suffix) return &tensor;
    return nullptr;
  }
  const StoredTensor& need(const std::string& suffix) const {
    if (const StoredTensor* found = find(suffix)) return *found;
    throw_error(ExitCode::no_input, "{}: holds no tensor {}, which the layout asks for", in_quotes(path),
                in_quotes(name + suffix));
  }
};

// FILE:NAME, or a file whose only candidate for the codes names the tensor.
Source open_source(const std::string& spec, const Container& c) {
  std::error_code ignored;
  Source source;
  const bool whole = std::filesystem::exists(spec, ignored);
  const std::size_t colon = spec.rfind(':');
  source.path = whole || colon == spec.npos ? spec : spec.substr(0, colon);
  source.tensors = open_tensors(source.path);
  if (!whole && colon != spec.npos) {
    source.name = spec.substr(colon + 1);
    return source;
  }
  std::vector<std::string> names;
  const auto ends = [](const std::string& text, const std::string& ending) {
    return text.size() > ending.size() && text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
  };
  for (const StoredTensor& t : source.tensors)
    if (ends(t.name, c.codes_suffix) && t.dtype_name == "U8" &&
        (!c.codes_suffix.empty() || !(ends(t.name, c.scales_suffix) && !c.scales_suffix.empty())))
      names.push_back(t.name.substr(0, t.name.size() - c.codes_suffix.size()));
  if (names.size() != 1)
    throw_error(ExitCode::no_input, "{}: {} tensors could be the codes of layout {}; name one as {}:NAME",
                in_quotes(source.path), names.size(), c.name, source.path);
  source.name = names[0];
  return source;
}

std::vector<std::uint8_t> raw(const StoredTensor& tensor) {
  const std::vector<std::byte> bytes = tensor.load_bytes();
  const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
  return {first, first + bytes.size()};
}

Packed read_packed(const Source& source, const Container& c, const Format& format) {
  Packed p;
  const StoredTensor& codes = source.need(c.codes_suffix);
  if (codes.dtype_name != "U8")
    throw_error(ExitCode::bad_data, "{}: dtype {} is not accepted for packed codes (accepted: U8)", codes.place(),
                in_quotes(codes.dtype_name));
  p.codes = raw(codes);
  p.codes_shape = codes.shape;
  const bool separate = !c.scales_suffix.empty();
  if (separate && format.scale_element) p.scales = raw(source.need(c.scales_suffix));
  if (separate && format.zero_point != ZeroPoint::none) p.zero_points = raw(source.need(c.zero_points_suffix));
  if (separate && format.second_level != SecondLevel::none) {
    const StoredTensor& scale = source.need(c.tensor_scale_suffix);
    if (scale.size() != 1 || scale.dtype != DType::f32)
      throw_error(ExitCode::bad_data, "{}: shape {} of {}; one F32 value is expected", scale.place(),
                  to_string(scale.shape), in_quotes(scale.dtype_name));
    p.tensor_scale = scale.load_float()[0];
  }
  return p;
}

Shape parse_shape(const std::string& text) {
  Shape shape;
  for (std::size_t first = 0;;) {
    const std::size_t comma = text.find(',', first);
    shape.push_back(static_cast<std::size_t>(
        parse_integer(text.substr(first, comma == text.npos ? comma : comma - first), "--shape", 1)));
    if (comma == text.npos) return shape;
    first = comma + 1;
  }
}

// The tensor's shape: told, or the codes' leading axes and the row length that they stand for.
Shape tensor_shape(const CommandLine& line, const Container& c, const Format& format, const Packed& p) {
  if (line.given("shape")) return parse_shape(line.text("shape"));
  const std::size_t length = c.row_length(c, format, p.codes_shape);
  if (length == 0)
    throw_error(ExitCode::usage, "--shape is missing: layout {} does not tell the length of a row of {} codes", c.name,
                format.element->name);
  Shape shape = p.codes_shape;
  if (c.name == "gpt_oss_mxfp4") shape.pop_back();
  shape.back() = length;
  return shape;
}

void check_size(const Container& c, const Shape& shape, const Packed& p, const Quantized& q) {
  // what packing such a tensor would give, in bytes: a tensor of zeros is cheap to pack
  Quantized zeros = q;
  zeros.code_bytes = q.format.element->bits <= 8 ? 1 : 2;
  zeros.codes.assign(q.layout.size() * static_cast<std::size_t>(zeros.code_bytes), 0);
  std::size_t groups = 1;
  for (const std::size_t extent : scale_shape(q.format, q.layout)) groups *= extent;
  zeros.scales.assign(q.format.scale_element ? groups : 0, 0);
  zeros.zero_points.assign(q.format.zero_point != ZeroPoint::none ? groups : 0, 0);
  const std::size_t expected = c.pack(c, zeros).codes.size();
  if (expected != p.codes.size())
    throw_error(ExitCode::bad_data, "{} bytes of codes; shape {} under layout {} has {}", p.codes.size(),
                to_string(shape), c.name, expected);
}

int run(const Words& words) {
  CommandLine line("lowbit unpack",
                   "reads a container of another program into a codes file, which lowbit decode turns into values");
  line.value("layout", "NAME", "name of the container; lowbit pack --help lists them", Required{});
  line.value("input", "FILE[:NAME]", "the .safetensors file or model folder, and the tensor's name in it", Required{});
  line.value("format", "F",
             "format of the codes; default: the container's own; must be given for layouts of bare codes");
  line.value("transform", "T", "the transform that the codes are of, which decode then undoes", "id");
  line.value("shape", "N,N,..", "shape of the tensor, where the container does not tell it");
  declare_out(line, "the codes file (.h5)");
  declare_output(line);
  if (!line.parse(words)) return 0;
  const OutputForm form = output_form(line);
  const Container& c = container(line.text("layout"));
  if (!line.given("format") && c.formats.empty())
    throw_error(ExitCode::usage, "--format is missing: layout {} holds codes of any format", c.name);
  const std::string transform = parse_transform(line.text("transform"))->name();
  const Format format = parse_format(line.given("format") ? line.text("format") : c.formats);
  check_holds(c, format);
  check_outputs({line.text("out")}, line.given("force"));
  const Source source = open_source(line.text("input"), c);
  const Packed packed = read_packed(source, c, format);
  const Shape shape = tensor_shape(line, c, format, packed);
  element_count(shape, "--shape");
  CodesFile file{{}, shape, source.name, transform, false};
  file.quantized.format = format;
  file.quantized.layout = Layout(shape, -1);
  check_size(c, shape, packed, file.quantized);
  c.unpack(c, packed, file.quantized);
  write_codes(line.text("out"), file, line.given("force"));
  print_record({{"input", line.text("input")},
                {"layout", c.name},
                {"format", to_string(format)},
                {"shape", shape},
                {"out", line.text("out")}},
               form);
  return 0;
}

LOWBIT_VERB(unpack, "read a container of another program into a codes file", run)

}  // namespace
}  // namespace lowbit
