#include "formats/format.hpp"

#include <algorithm>
#include <set>

#include "formats/error.hpp"
#include "formats/like/like.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;

namespace {

std::string error_of(const std::string& name) {
  try {
    parse_format(name);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    return error.what();
  }
  return "accepted";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void check_round_trip(const std::string& name) {
  INFO(name);
  const Format format = parse_format(name);
  const std::string printed = to_string(format);
  const std::string full = long_form(format);
  CHECK(parse_format(printed) == format);
  CHECK(parse_format(full) == format);
  CHECK(to_string(parse_format(printed)) == printed);
  CHECK(parse_format(printed).preset == format.preset);
  CHECK(long_form(parse_format(full)) == full);
  CHECK(printed.size() <= full.size());
}

}  // namespace

TEST_CASE("a preset is its expansion", "[format]") {
  std::set<std::string_view> names;
  for (const Preset& preset : presets()) {
    INFO(preset.name);
    CHECK(names.insert(preset.name).second);
    if (!preset.alias.empty()) CHECK(names.insert(preset.alias).second);
    const Format format = parse_format(preset.name);
    CHECK(format == parse_format(preset.expansion));
    CHECK(format.preset == preset.name);
    CHECK(to_string(format) == preset.name);
    if (!preset.alias.empty()) CHECK(to_string(parse_format(preset.alias)) == preset.name);
    CHECK_FALSE(preset.description.empty());
    CHECK_FALSE(preset.source.empty());
    // a preset may shadow the alias of an element (nf4: the block format), never a name of another
    if (const Element* shadowed = find_element(preset.name)) CHECK(shadowed == format.element);
  }
  for (const Element& e : elements()) CHECK(names.count(e.name) == 0);
}

TEST_CASE("canonical names and long forms", "[format]") {
  struct Row {
    const char *name, *canonical, *full;
  };
  for (const Row& row : {
           Row{"mxfp4", "mxfp4", "e2m1:g32:s=e8m0:rule=floor:ts=none:round=rne:sat:nan=poison"},
           Row{"mxfp8", "mxfp8_e4m3", "e4m3:g32:s=e8m0:rule=floor:ts=none:round=rne:sat:nan=poison"},
           Row{"mxfp6:rule=rceil:g16", "mxfp6_e2m3:g16:rule=ceil",
               "e2m3:g16:s=e8m0:rule=ceil:ts=none:round=rne:sat:nan=poison"},
           Row{"nvfp4", "nvfp4", "e2m1:g16:s=e4m3:rule=amax:ts=fp32:round=rne:sat:nan=poison"},
           Row{"ts=fp32:e2m1", nullptr, nullptr},
           Row{"e2m1:ts=fp32:s=e4m3:g16", "e2m1:g16:s=e4m3:ts=fp32",
               "e2m1:g16:s=e4m3:rule=amax:ts=fp32:round=rne:sat:nan=poison"},
           Row{"int4:asym:s=fp16:g128", "int4:g128:s=fp16:asym",
               "int4:g128:s=fp16:rule=amax:ts=none:asym:round=rne:sat:nan=poison"},
           Row{"int2:min:g32:s=fp16", "int2:g32:s=fp16:min",
               "int2:g32:s=fp16:rule=amax:ts=none:min:z=fp16:round=rne:sat:nan=poison"},
           Row{"int2:min:g32:s=e4m3", "int2:g32:s=e4m3:min",
               "int2:g32:s=e4m3:rule=amax:ts=none:min:z=fp32:round=rne:sat:nan=poison"},
           Row{"int8_full", "int8:full", "int8:full:round=rne:sat"},
           Row{"int8_full:g32", "int8:g32:full", "int8:g32:s=fp32:rule=amax:ts=none:full:round=rne:sat:nan=poison"},
           Row{"e4m3fn:ovf", "e4m3:ovf", "e4m3:round=rne:ovf"},
           Row{"tf32:round=rna", "tf32:round=rna", "tf32:round=rna:ovf"},
           Row{"fp16:ovf:round=rne", "fp16", "fp16:round=rne:ovf"},
           Row{"e4m3:seed=5:round=sr:channel", "e4m3:channel:round=sr:seed=5",
               "e4m3:channel:s=fp32:rule=amax:ts=none:round=sr:seed=5:sat:nan=poison"},
           Row{"nvfp4:s=e8m0", "nvfp4:s=e8m0", "e2m1:g16:s=e8m0:rule=floor:ts=none:round=rne:sat:nan=poison"},
           Row{"mxfp4:s=fp32:tensor", "mxfp4:tensor:s=fp32",
               "e2m1:tensor:s=fp32:rule=amax:ts=none:round=rne:sat:nan=poison"},
           Row{"ternary:g32:rule=absmean", "ternary:g32:rule=absmean",
               "ternary_codebook:g32:s=e4m3:rule=absmean:ts=none:round=rne:sat:nan=poison"},
           Row{"nf4_codebook", "nf4_codebook", "nf4_codebook:round=rne:sat"},
           Row{"nf4", "nf4", "nf4_codebook:g64:s=fp32:rule=amax:ts=none:round=rne:sat:nan=poison"},
           Row{"int4:tile016x16:range=half", "int4:tile16x16:range=half",
               "int4:tile16x16:s=fp32:rule=amax:ts=none:range=half:round=rne:sat:nan=poison"},
           Row{"mxfp4:flush:nan=ignore", "mxfp4:flush:nan=ignore",
               "e2m1:g32:s=e8m0:rule=floor:ts=none:round=rne:sat:flush:nan=ignore"},
       }) {
    INFO(row.name);
    if (!row.canonical) {
      CHECK(error_of(row.name) != "accepted");
      continue;
    }
    CHECK(to_string(parse_format(row.name)) == row.canonical);
    CHECK(long_form(parse_format(row.name)) == row.full);
    CHECK(parse_format(row.full) == parse_format(row.name));
  }
}

TEST_CASE("parse inverts print over every base times options", "[format]") {
  // one list per kind of decision; combinations that contradict each other are errors and skipped, but counted
  const std::vector<std::vector<std::string>> choices = {
      {"", ":g1", ":g128", ":channel", ":tensor", ":tile2x16"},
      {"", ":s=fp16", ":s=e8m0", ":s=e4m3", ":s=ue4m3", ":s=uint8"},
      {"", ":rule=ceil", ":rule=even", ":rule=amax", ":rule=absmean"},
      {"", ":ts=none", ":ts=fp32", ":ts=e8m0"},
      {"", ":asym", ":min", ":full", ":range=pow2"},
      {"", ":round=rtsm", ":round=sr:seed=18446744073709551615", ":ovf:flush", ":nan=ignore"},
  };
  std::size_t accepted = 0, refused = 0, wrong = 0;
  for (const std::string& base : format_bases()) {
    std::vector<std::size_t> at(choices.size(), 0);
    for (std::size_t n = 0;; ++n) {
      std::string name = base;
      std::size_t rest = n;
      for (const auto& list : choices) {
        name += list[rest % list.size()];
        rest /= list.size();
      }
      if (rest != 0) break;
      // every 7th combination: the step is coprime to all list lengths, so each pair of choices meets
      if (n % 7 != base.size() % 7) continue;
      Format format;
      try {
        format = parse_format(name);
      } catch (const Error&) {
        ++refused;
        continue;
      }
      ++accepted;
      const bool same = parse_format(to_string(format)) == format && parse_format(long_form(format)) == format;
      if (!same && ++wrong < 5)
        UNSCOPED_INFO(name << " prints as " << to_string(format) << " and " << long_form(format));
    }
  }
  CHECK(wrong == 0);
  CHECK(accepted > 3000);
  CHECK(refused > accepted);
}

TEST_CASE("formats of named implementations print and parse back", "[format]") {
  for (const like::Implementation* implementation : like::implementations()) {
    CHECK_FALSE(implementation->formats.empty());
    for (const std::string_view name : implementation->formats) {
      const std::string full = std::string(name) + ":like=" + std::string(implementation->name);
      check_round_trip(name.find(":like=") == std::string_view::npos ? full : std::string(name));
    }
  }
  CHECK(contains(error_of("mxfp4:like=nobody"), "like=nobody"));
  CHECK(contains(error_of("mxfp4:like=nobody"), "accepted"));
}

TEST_CASE("options come in any order", "[format]") {
  std::vector<std::string> options = {"g64", "s=fp16", "asym", "round=rna", "nan=ignore"};
  std::sort(options.begin(), options.end());
  const Format first = parse_format("int4:g64:s=fp16:asym:round=rna:nan=ignore");
  do {
    std::string name = "int4";
    for (const std::string& option : options) name += ":" + option;
    CHECK(parse_format(name) == first);
  } while (std::next_permutation(options.begin(), options.end()));
}

TEST_CASE("fields and bits per value of a few formats", "[format]") {
  const Format mx = parse_format("mxint4");
  CHECK(mx.element == &element("int4"));
  CHECK(mx.group == GroupKind::size);
  CHECK(mx.group_size == 32);
  CHECK(mx.scale_element == &element("e8m0"));
  CHECK(mx.rule == ScaleRule::floor);
  CHECK(mx.is_block());
  const Format plain = parse_format("int4");
  CHECK_FALSE(plain.is_block());
  CHECK(plain.scale_element == nullptr);
  CHECK(&plain.code_element() == &element("int4"));
  CHECK(&parse_format("int4:full").code_element() == &element("int4_full"));
  CHECK(&parse_format("int4:g8:range=pow2").code_element() == &element("int4_full"));
  CHECK(parse_format("fp16").conversion.overflow == Overflow::ovf);
  CHECK(parse_format("fp16:sat").conversion.overflow == Overflow::sat);
  CHECK(parse_format("e5m2").conversion.overflow == Overflow::sat);
  const Format tile = parse_format("e4m3:tile128x64");
  CHECK(tile.tile_rows == 128);
  CHECK(tile.group_size == 64);
  for (const auto& [name, bits] : {std::pair{"mxfp8", 8.25},
                                   {"mxfp6", 6.25},
                                   {"mxfp4", 4.25},
                                   {"nvfp4", 4.5},
                                   {"nvfp4:s=ue4m3", 4.5},
                                   {"nf4", 4.5},
                                   {"ternary", 2.5},
                                   {"int4:g128:s=fp16:asym", 4.15625},
                                   {"int2:g32:s=fp16:min", 3.0},
                                   {"e4m3:tensor", 8.0},
                                   {"int8:channel", 8.0},
                                   {"e4m3:tile128x128", 8 + 32.0 / 16384},
                                   {"bf16", 16.0}}) {
    INFO(name);
    CHECK(parse_format(name).bits_per_value() == bits);
  }
}

TEST_CASE("wrong names are one line that names the value and what is accepted", "[format]") {
  struct Row {
    const char *name, *value, *accepted;
  };
  for (const Row& row : {
           Row{"mxfp44", "'mxfp44'", "did you mean 'mxfp4'?"},
           Row{"MXFP4", "'MXFP4'", "did you mean 'mxfp4'?"},
           Row{"", "''", "mxfp4"},
           Row{":", "':'", "nvfp4"},
           Row{"mxfp4:", "empty option", "round="},
           Row{"mxfp4::sat", "empty option", "round="},
           Row{"mxfp4\n:sat", "\\x0a", "mxfp4"},
           Row{"mxfp4:g0", "'g0'", "from 1 to 1073741824"},
           Row{"mxfp4:g-3", "'g-3'", "from 1 to 1073741824"},
           Row{"mxfp4:g3.5", "'g3.5'", "from 1 to 1073741824"},
           Row{"mxfp4:g99999999999999999999999", "'g99999999999999999999999'", "from 1 to 1073741824"},
           Row{"mxfp4:tile4", "'tile4'", "tileRxC"},
           Row{"mxfp4:tile0x4", "'tile0x4'", "from 1 to 1073741824"},
           Row{"mxfp4:g32:g32", "g32 is given twice", ""},
           Row{"mxfp4:g32:g64", "g32 and g64", "one of them"},
           Row{"mxfp4:channel:tensor", "channel and tensor", "one of them"},
           Row{"mxfp4:sat:ovf", "sat and ovf", "one of them"},
           Row{"int4:g8:full:range=half", "full and range=half", "one of them"},
           Row{"int4:g8:asym:min", "asym and min", "one of them"},
           Row{"mxfp4:roud=rne", "'roud=rne'", "did you mean 'round='?"},
           Row{"mxfp4:round=rn", "'round=rn'", "rne, rna, rtz, rtsm, sr"},
           Row{"mxfp4:rule=flor", "'flor'", "did you mean 'floor'?"},
           Row{"mxfp4:nan=0", "'nan=0'", "poison, ignore"},
           Row{"nvfp4:ts=fp16", "'ts=fp16'", "none, fp32, e8m0"},
           Row{"int4:g8:range=full", "'range=full'", "pow2, half"},
           Row{"mxfp4:seed=3", "seed=3", "round=sr"},
           Row{"mxfp4:round=sr:seed=-1", "'seed=-1'", "from 0 to 2^64 - 1"},
           Row{"mxfp4:round=sr:seed=18446744073709551616", "'seed=18446744073709551616'", "from 0 to 2^64 - 1"},
           Row{"mxint8:rule=even", "rule=even", "floor, ceil, ceil_pow2"},
           Row{"mxfp4:rule=floor_ratio", "rule=floor_ratio", "like=int_vs_fp"},
           Row{"mxfp4:rule=amax", "rule=amax", "floor, ceil, ceil_pow2, even"},
           Row{"nvfp4:rule=floor", "rule=floor", "it needs s=e8m0"},
           Row{"ternary:rule=amax", "rule=amax", "twn, absmax, absmean, grid"},
           Row{"ternary:s=e8m0", "s=e8m0", "mxint2"},
           Row{"ternary:ts=fp32", "ts=fp32", "ts=none"},
           Row{"int8:rule=ceil", "rule=ceil", "gN, channel, tensor or tileRxC"},
           Row{"int8:s=fp16", "s=fp16", "gN, channel, tensor or tileRxC"},
           Row{"int8:ts=fp32", "ts=fp32", "gN, channel, tensor or tileRxC"},
           Row{"int8:asym", "asym", "gN, channel, tensor or tileRxC"},
           Row{"int8:nan=ignore", "nan=ignore", "gN, channel, tensor or tileRxC"},
           Row{"int8:range=pow2", "range=pow2", "full"},
           Row{"int8:g32:ts=fp32", "ts=fp32", "s=e4m3"},
           Row{"int8:g32:s=e8m0:ts=fp32", "ts=fp32", "s=e4m3"},
           Row{"nvint4:asym", "ts=fp32 and asym", "ts=none"},
           Row{"e4m3:g32:asym", "asym", "int2 .. int8"},
           Row{"e4m3:g32:min", "min", "int2 .. int8"},
           Row{"e4m3:full", "full", "int2 .. int8"},
           Row{"e4m3:g32:range=pow2", "range=pow2", "int2 .. int8"},
           Row{"int8_full:range=half:g3", "int8_full and range=half", ""},
           Row{"mxint8:range=pow2", "range=pow2", "full"},
           Row{"mxint8:asym", "asym with s=e8m0", "s=fp16"},
           Row{"int4:g32:asym:full", "asym and full", "one of them"},
           Row{"int4:g32:z=fp16", "z=fp16", "needs min"},
           Row{"int4:g32:min:z=e8m0", "'e8m0'", "fp16"},
           Row{"int4:g32:s=int8", "'int8'", "e8m0"},
           Row{"int4:g32:s=e2m1", "'e2m1'", "e4m3"},
           Row{"int4:g32:s=fp61", "'fp61'", "did you mean 'fp16'?"},
           Row{"e2m1:ovf", "ovf", "sat"},
           Row{"mxint8:ovf", "ovf", "sat"},
           Row{"e8m0:g32", "e8m0", "plain cast"},
           Row{"ue4m3:g32", "ue4m3", "plain cast"},
       }) {
    INFO(row.name);
    const std::string message = error_of(row.name);
    CHECK(contains(message, row.value));
    CHECK(contains(message, row.accepted));
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.size() < 800);
  }
}

TEST_CASE("no piece of text crashes the parser", "[format]") {
  const std::vector<std::string> pieces = {
      "mxfp4", "int4", ":", "g", "32", "tile", "x", "s=", "rule=", "e8m0", "round=sr", "seed=", "\xff", "=", "-", " "};
  std::size_t threw = 0, parsed = 0;
  for (std::size_t n = 0; n < pieces.size() * pieces.size() * pieces.size() * pieces.size(); ++n) {
    std::string name;
    for (std::size_t rest = n, i = 0; i < 4; ++i, rest /= pieces.size()) name += pieces[rest % pieces.size()];
    try {
      parse_format(name);
      ++parsed;
    } catch (const Error&) {
      ++threw;
    }
  }
  CHECK(parsed > 0);
  CHECK(threw > 0);
  CHECK_THROWS_AS(parse_format(std::string(1 << 20, 'a')), Error);
}

TEST_CASE("did you mean", "[format]") {
  const std::vector<std::string> names = {"mxfp4", "mxfp6", "nvfp4", "int8"};
  CHECK(did_you_mean("mxfp5", names) == "mxfp4");
  CHECK(did_you_mean("nvpf4", names) == "nvfp4");
  CHECK(did_you_mean("INT8", names) == "int8");
  CHECK_FALSE(did_you_mean("completely", names));
  CHECK_FALSE(did_you_mean("", names));
  CHECK_FALSE(did_you_mean("x", {}));
}
