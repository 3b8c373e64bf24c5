#include "sim/source/safetensors.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "formats/error.hpp"
#include "sim/source/input_file.hpp"
#include "sim/source/strict_json.hpp"
#include "sim/source/text.hpp"

namespace lowbit {
namespace {

using nlohmann::json;
constexpr std::uint64_t kLongestHeader = 100'000'000;  // the format's own limit

struct TypeRow {
  const char* name;
  std::size_t bits;
  DType dtype;
};
constexpr TypeRow kTypes[] = {
    {"F64", 64, DType::f64},         {"F32", 32, DType::f32},        {"F16", 16, DType::f16},
    {"BF16", 16, DType::bf16},       {"F8_E4M3", 8, DType::f8_e4m3}, {"F8_E5M2", 8, DType::f8_e5m2},
    {"BOOL", 8, DType::other},       {"U8", 8, DType::other},        {"I8", 8, DType::other},
    {"I16", 16, DType::other},       {"U16", 16, DType::other},      {"I32", 32, DType::other},
    {"U32", 32, DType::other},       {"I64", 64, DType::other},      {"U64", 64, DType::other},
    {"C64", 64, DType::other},       {"F8_E8M0", 8, DType::other},   {"F6_E2M3", 6, DType::other},
    {"F6_E3M2", 6, DType::other},    {"F4", 4, DType::other},        {"F8_E4M3FNUZ", 8, DType::other},
    {"F8_E5M2FNUZ", 8, DType::other}};

const TypeRow* find_type(const std::string& name) {
  const auto* row =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeRow& r) { return name == r.name; });
  return row == std::end(kTypes) ? nullptr : row;
}

std::string known_types() {
  std::string text;
  for (const TypeRow& row : kTypes) text += (text.empty() ? "" : ", ") + std::string(row.name);
  return text;
}

// One tensor of the header with its range in the buffer.
struct Entry {
  StoredTensor tensor;
  std::uint64_t begin = 0, end = 0;
};

const json& member(const json& object, const char* key, const std::string& place) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end())
    throw_error(ExitCode::bad_data, "{}: \"{}\" is missing (dtype, shape and data_offsets are expected)", place, key);
  return *found;
}

std::vector<std::uint64_t> unsigned_list(const json& value, const char* key, const std::string& place) {
  std::vector<std::uint64_t> list;
  bool good = value.is_array();
  for (std::size_t i = 0; good && i < value.size(); ++i) {
    list.push_back(0);
    good = as_unsigned(value[i], list.back());
  }
  if (!good)
    throw_error(ExitCode::bad_data, "{}: \"{}\" is {}; a list of integers from 0 to 2^64 - 1 is expected", place, key,
                in_quotes(value.dump()));
  return list;
}

Entry read_entry(const std::string& path, const std::string& name, const json& value) {
  Entry entry;
  StoredTensor& t = entry.tensor;
  t.file = path;
  t.name = name;
  const std::string place = t.place();
  const json& dtype = member(value, "dtype", place);
  const TypeRow* type = dtype.is_string() ? find_type(dtype.get<std::string>()) : nullptr;
  if (!type)
    throw_error(ExitCode::bad_data, "{}: dtype {} is unknown (known: {})", place, in_quotes(dtype.dump()),
                known_types());
  t.dtype = type->dtype;
  t.dtype_name = type->name;
  for (const std::uint64_t extent : unsigned_list(member(value, "shape", place), "shape", place))
    t.shape.push_back(extent);
  const std::size_t count = element_count(t.shape, place);
  const auto offsets = unsigned_list(member(value, "data_offsets", place), "data_offsets", place);
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    throw_error(ExitCode::bad_data, "{}: \"data_offsets\" is {}; [begin, end] with begin <= end is expected", place,
                in_quotes(value["data_offsets"].dump()));
  entry.begin = offsets[0];
  entry.end = offsets[1];
  const bool too_many = count > (std::uint64_t{1} << 62) / type->bits * 8;
  const std::uint64_t bits =
      too_many ? 0 : static_cast<std::uint64_t>(count / 8 * type->bits) + count % 8 * type->bits / 8;
  if (too_many || count % 8 * type->bits % 8 || bits != entry.end - entry.begin)
    throw_error(ExitCode::bad_data, "{}: shape {} of dtype {} does not fill the {} bytes of data_offsets", place,
                to_string(t.shape), type->name, entry.end - entry.begin);
  t.bytes = entry.end - entry.begin;
  return entry;
}

json read_header(const InputFile& file, std::uint64_t& data) {
  const std::string place = in_quotes(file.path());
  std::uint64_t length = 0;
  if (file.size() < 8)
    throw_error(ExitCode::bad_data, "{}: {} bytes are too few for a safetensors file", place, file.size());
  file.read(0, 8, &length);
  if (length > kLongestHeader || length > file.size() - 8)
    throw_error(ExitCode::bad_data,
                "{}: header of {} bytes in a file of {} (at most 100000000 and the file are accepted)", place, length,
                file.size());
  std::string text(length, '\0');
  file.read(8, length, text.data());
  if (text.empty() || text[0] != '{')
    throw_error(ExitCode::bad_data, "{}: is not a safetensors file: its header does not start with '{{'", place);
  data = 8 + length;
  return parse_strict_json(text, place);
}

void check_coverage(const std::vector<Entry>& entries, std::uint64_t buffer, const std::string& path) {
  std::uint64_t end = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != end)
      throw_error(ExitCode::bad_data, "{}: data begins at offset {} but the data before it ends at {}: {}",
                  entry.tensor.place(), entry.begin, end, entry.begin < end ? "overlap" : "hole");
    end = entry.end;
  }
  if (end != buffer)
    throw_error(ExitCode::bad_data, "{}: the header describes {} bytes of data, the file has {}{}", in_quotes(path),
                end, buffer, buffer < end ? ": truncated" : "");
}

}  // namespace

std::vector<StoredTensor> open_safetensors(const std::string& path) {
  const auto file = std::make_shared<InputFile>(path);
  std::uint64_t data = 0;
  const json header = read_header(*file, data);
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items())
    if (name != "__metadata__") entries.push_back(read_entry(path, name, value));
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.begin != b.begin ? a.begin < b.begin
                              : a.end < b.end;  // empty tensors before what begins at the same place
  });
  check_coverage(entries, file->size() - data, path);
  std::vector<StoredTensor> tensors;
  for (Entry& entry : entries) {
    entry.tensor.random_access = true;
    entry.tensor.read = [file, start = data + entry.begin](std::size_t offset, std::size_t count, std::byte* out) {
      file->read(start + offset, count, out);
    };
    entry.tensor.map = [file, start = data + entry.begin]() -> std::shared_ptr<const std::byte> {
      const std::byte* all = file->map();
      return all == nullptr ? nullptr : std::shared_ptr<const std::byte>(file, all + start);
    };
    tensors.push_back(std::move(entry.tensor));
  }
  return tensors;
}

std::string safetensors_file(const std::vector<SafetensorsEntry>& entries, const std::string& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = nlohmann::ordered_json::parse(metadata);
  std::uint64_t end = 0;
  for (const SafetensorsEntry& entry : entries) {
    header[entry.name] = {
        {"dtype", entry.dtype}, {"shape", entry.shape}, {"data_offsets", {end, end + entry.bytes.size()}}};
    end += entry.bytes.size();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // data starts aligned to 8
  const std::uint64_t length = text.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  file += text;
  for (const SafetensorsEntry& entry : entries)
    file.append(reinterpret_cast<const char*>(entry.bytes.data()), entry.bytes.size());
  return file;
}

}  // namespace lowbit
