// lowbit pack: a codes file as a published container.
#include "experiments/core/plain_text.hpp"
#include "experiments/tools/codes_file.hpp"
#include "experiments/tools/container.hpp"
#include "experiments/tools/npy_output.hpp"
#include "experiments/tools/output.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/code_store.hpp"
#include "formats/error.hpp"
#include "results/store/file_io.hpp"
#include "sim/source/text.hpp"

namespace lowbit {
namespace {

std::string layout_table() {
  std::string text = "Layouts:\n";
  for (const Container& c : containers()) text += fmt::format("  {:<26}{}\n", c.name, c.description);
  return text;
}

std::string dtype_of(const Container& c, const Element& element) {
  if (!c.scales_dtype.empty()) return c.scales_dtype;
  return element.bits <= 8 ? "U8" : element.bits <= 16 ? "U16" : "U32";
}

std::vector<std::uint8_t> bytes_of(float value) {
  std::vector<std::uint8_t> bytes(4);
  put_code(bytes.data(), 4, std::bit_cast<std::uint32_t>(value));
  return bytes;
}

std::vector<SafetensorsEntry> entries_of(const Container& c, const Packed& p, const Quantized& q,
                                         const std::string& name) {
  std::vector<SafetensorsEntry> entries = {{name + c.codes_suffix, "U8", p.codes_shape, p.codes}};
  if (!p.scales.empty())
    entries.push_back({name + c.scales_suffix, dtype_of(c, *q.format.scale_element), p.scales_shape, p.scales});
  if (!p.zero_points.empty()) {
    const Element& zero = q.format.zero_point == ZeroPoint::minimum ? *q.format.zero_element : *q.format.element;
    entries.push_back({name + c.zero_points_suffix, dtype_of(c, zero), p.scales_shape, p.zero_points});
  }
  if (p.tensor_scale) {
    const Shape shape = c.name == "compressed_tensors_nvfp4" ? Shape{1} : Shape{};
    entries.push_back({name + c.tensor_scale_suffix, "F32", shape, bytes_of(*p.tensor_scale)});
  }
  return entries;
}

std::string metadata_of(const Container& c, const CodesFile& file) {
  const Record metadata = {{"lowbit_layout", c.name},
                           {"lowbit_format", long_form(file.quantized.format)},
                           {"lowbit_shape", Record(file.shape).dump()},
                           {"lowbit_transform", file.transform},
                           {"lowbit_keep_rotated", file.keep_rotated ? "1" : "0"}};
  return json_text(metadata);
}

int run(const Words& words) {
  CommandLine line("lowbit pack", "writes a codes file as a container that other programs read, a .safetensors file");
  line.value("layout", "NAME", "name of the container, see below", Required{});
  line.value("input", "CODES.h5", "a codes file of lowbit cast --codes", Required{});
  line.value("name", "NAME", "name of the tensor in the container; default: the one in the codes file");
  declare_out(line, "the container: a .safetensors file");
  declare_output(line);
  line.footer(layout_table());
  if (!line.parse(words)) return 0;
  const OutputForm form = output_form(line);
  const Container& c = container(line.text("layout"));
  check_outputs({line.text("out")}, line.given("force"));
  const CodesFile file = read_codes(line.text("input"));
  const Quantized& q = file.quantized;
  const int rank = static_cast<int>(q.layout.shape.size());
  check_holds(c, q.format);
  if (q.layout.axis != -1 && q.layout.axis != rank - 1)
    throw_error(ExitCode::usage,
                "{}: quantised along axis {} of {}; containers hold tensors quantised along the last axis",
                in_quotes(line.text("input")), q.layout.axis, rank);
  const std::string name = line.given("name") ? line.text("name") : file.name.empty() ? "tensor" : file.name;
  const auto entries = entries_of(c, c.pack(c, q), q, name);
  const std::string bytes = safetensors_file(entries, metadata_of(c, file));
  store::write_atomically(line.text("out"), std::as_bytes(std::span(bytes)),
                          line.given("force") ? store::Overwrite::replace : store::Overwrite::refuse);
  Record tensors = Record::array();
  for (const SafetensorsEntry& e : entries)
    tensors.push_back({{"name", e.name}, {"dtype", e.dtype}, {"shape", e.shape}});
  print_record({{"input", line.text("input")},
                {"layout", c.name},
                {"format", to_string(q.format)},
                {"out", line.text("out")},
                {"tensors", tensors}},
               form);
  return 0;
}

LOWBIT_VERB(pack, "write a codes file as a container of another program", run)

}  // namespace
}  // namespace lowbit
