// lowbit formats [NAME]: the table of formats, or one of them in full.
#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "experiments/tools/format_equations.hpp"
#include "experiments/tools/output.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/codec.hpp"
#include "formats/error.hpp"
#include "formats/format.hpp"
#include "formats/like/like.hpp"
#include "formats/scale_rule.hpp"

namespace lowbit {
namespace {

constexpr int kLongestTable = 8;  // bits: wider elements show landmarks, not 2^bits codes

std::string group_text(const Format& f) {
  switch (f.group) {
    case GroupKind::size:
      return std::to_string(f.group_size);
    case GroupKind::channel:
      return "channel";
    case GroupKind::tensor:
      return "tensor";
    case GroupKind::tile:
      return fmt::format("{}x{}", f.tile_rows, f.group_size);
    default:
      return "-";
  }
}

std::string scale_text(const Format& f) {
  if (!f.scale_element) return "-";
  std::string text(f.scale_element->name);
  if (f.second_level != SecondLevel::none) text += f.second_level == SecondLevel::fp32 ? " + fp32" : " + e8m0";
  if (f.zero_point == ZeroPoint::integer) text += ", integer zero point";
  if (f.zero_point == ZeroPoint::minimum) text += fmt::format(", {} minimum", f.zero_element->name);
  return text;
}

bool is_unsigned_grid(const Format& f) {
  return f.zero_point != ZeroPoint::none;
}

// Element values, the implicit factor of integers under an E8M0 scale included.
double unit(const Format& f) {
  const bool implicit = f.scale_element && f.scale_element->kind == ElementKind::exponent;
  return implicit ? std::ldexp(1.0, -implicit_exponent(*f.element)) : 1.0;
}

double largest(const Format& f) {
  return unit(f) * (is_unsigned_grid(f) ? std::ldexp(1.0, f.element->bits) - 1 : f.code_element().max());
}

double smallest(const Format& f) {
  return unit(f) * f.code_element().min_subnormal();
}

Record summary(const std::string& name, const Format& f, const std::string& description) {
  return {{"name", name},
          {"bits", f.bits_per_value()},
          {"group", group_text(f)},
          {"element", f.element->name},
          {"max", largest(f)},
          {"min", smallest(f)},
          {"dynamic_range", largest(f) / smallest(f)},
          {"scale", scale_text(f)},
          {"rule", f.scale_element ? Record(scale_rule(f.rule).name) : Record(nullptr)},
          {"description", description}};
}

std::vector<Record> preset_rows() {
  std::vector<Record> rows;
  for (const Preset& p : presets())
    rows.push_back(summary(std::string(p.name), parse_format(p.name), std::string(p.description)));
  return rows;
}

std::vector<Record> element_rows() {
  std::vector<Record> rows;
  for (const Element& e : elements())
    rows.push_back({{"name", e.name},
                    {"bits", e.bits},
                    {"max", e.max()},
                    {"min", e.min_subnormal()},
                    {"dynamic_range", e.max() / e.min_subnormal()},
                    {"nan", e.has_nan()},
                    {"infinity", e.has_infinity()},
                    {"negative_zero", e.has_negative_zero()},
                    {"source", e.source}});
  return rows;
}

std::vector<Record> implementation_rows() {
  std::vector<Record> rows;
  for (const like::Implementation* i : like::implementations())
    rows.push_back({{"name", i->name},
                    {"codes", i->encode != nullptr},
                    {"formats", fmt::format("{}", fmt::join(i->formats, " "))},
                    {"description", i->description},
                    {"source", i->source}});
  return rows;
}

std::vector<Record> without(std::vector<Record> rows, std::initializer_list<const char*> fields) {
  for (Record& row : rows)
    for (const char* field : fields) row.erase(field);
  return rows;
}

void print_all(OutputForm form) {
  if (form == OutputForm::json) {
    fmt::print(
        "{}\n",
        Record{{"rows", preset_rows()}, {"elements", element_rows()}, {"implementations", implementation_rows()}}.dump(
            2));
  } else if (form == OutputForm::csv) {
    fmt::print("{}", csv_table(preset_rows()));
  } else {
    fmt::print(
        "Presets: max, min (smallest positive) and their ratio are of the element; bits a value include the "
        "scale.\n\n{}",
        text_table(preset_rows()));
    fmt::print("\nElements: alone a plain cast; with gN, channel, tensor or tileRxC they get a scale.\n\n{}",
               text_table(element_rows()));
    fmt::print("\nNamed implementations, NAME:like=...: codes tells whether they have a split form.\n\n{}",
               text_table(without(implementation_rows(), {"formats", "source"})));
    fmt::print("\nlowbit formats NAME shows one of them, or any name built from them, in full.\n");
  }
}

std::string value_text(float value) {
  return std::isnan(value) ? "nan" : std::isinf(value) ? (value > 0 ? "inf" : "-inf") : fmt::format("{}", value);
}

// Value as JSON: a number, or the text "nan", "inf", "-inf", which JSON cannot say otherwise.
Record json_value(float value) {
  return std::isfinite(value) ? Record(value) : Record(value_text(value));
}

std::uint32_t entries(const Element& e) {
  return e.kind == ElementKind::codebook ? static_cast<std::uint32_t>(e.codebook.size()) : e.code_count();
}

std::vector<Record> code_rows(const Format& f) {
  const Element& e = *f.element;
  std::vector<Record> rows;
  if (e.bits > kLongestTable) {
    const std::uint32_t max_code = e.max_code();
    std::vector<std::uint32_t> landmarks = {0, 1, max_code};
    if (e.is_float()) landmarks.insert(landmarks.begin() + 2, {(1u << e.mantissa_bits) - 1, 1u << e.mantissa_bits});
    if (e.has_infinity()) landmarks.push_back(max_code + 1);
    if (e.has_nan()) landmarks.push_back(e.nan_code());
    for (const std::uint32_t code : landmarks)
      rows.push_back({{"code", fmt::format("0x{:X}", code)},
                      {"bits", fmt::format("{:0{}b}", code, e.bits)},
                      {"value", json_value(decode(e, code))}});
    return rows;
  }
  for (std::uint32_t code = 0; code < entries(e); ++code) {
    const double value = is_unsigned_grid(f) ? code : static_cast<double>(decode(e, code));
    rows.push_back({{"code", fmt::format("0x{:0{}X}", code, (e.bits + 3) / 4)},
                    {"bits", fmt::format("{:0{}b}", code, e.bits)},
                    {"value", json_value(static_cast<float>(value * unit(f)))}});
  }
  return rows;
}

Record details(const std::string& name) {
  const Format f = parse_format(name);
  Record record = summary(to_string(f), f, "");
  record.erase("description");
  record["long_form"] = long_form(f);
  record["element_source"] = f.element->source;
  if (f.element->name == "tf32") record["hardware"] = "cvt.rna.tf32.f32 (PTX ISA) rounds as tf32:round=rna";
  if (const Preset* preset = find_preset(f.preset)) {
    record["description"] = preset->description;
    record["source"] = preset->source;
  }
  const FormatEquations equations = format_equations(f);
  if (!equations.scale.empty()) record["rule_equation"] = equations.scale;
  if (f.scale_element && f.like.empty()) record["rule_source"] = equations.source;
  if (!equations.encode.empty()) record["encode_equation"] = equations.encode;
  if (!equations.decode.empty()) record["decode_equation"] = equations.decode;
  if (!f.like.empty()) {
    record["like"] = like::implementation(f.like).description;
    record["like_source"] = like::implementation(f.like).source;
  }
  record["codes"] = code_rows(f);
  return record;
}

void print_one(const std::string& name, OutputForm form) {
  Record record = details(name);
  if (form == OutputForm::json) return print_record(record, form);
  const std::vector<Record> codes = record["codes"];
  if (form == OutputForm::csv) {
    fmt::print("{}", csv_table(codes));
    return;
  }
  record.erase("codes");
  print_record(record, form);
  fmt::print("\nCodes{}:\n\n{}", parse_format(name).element->bits > kLongestTable ? " (landmarks)" : "",
             text_table(codes));
}

int run(const Words& words) {
  CommandLine line("lowbit formats", "lists the formats, or shows one in full");
  line.words("[NAME]", "a format name: preset or element, with options as in int4:g128:s=fp16", 0, 1);
  declare_output(line);
  if (!line.parse(words)) return 0;
  const OutputForm form = output_form(line);
  if (line.words().empty())
    print_all(form);
  else
    print_one(line.words()[0], form);
  return 0;
}

LOWBIT_VERB(formats, "list the formats, or show one in full", run)

}  // namespace
}  // namespace lowbit
