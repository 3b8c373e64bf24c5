#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>

#include "formats/error.hpp"
#include "results/store/column_file.hpp"
#include "results/store/hdf5_file.hpp"
#include "results/store/hdf5_parts.hpp"

namespace lowbit::store {
namespace {

ColumnType column_type(hid_t type) {
  const std::size_t bytes = H5Tget_size(type);
  const H5T_class_t kind = H5Tget_class(type);
  if (kind == H5T_STRING && bytes == 1) return ColumnType::text;
  if (kind == H5T_FLOAT && check(H5Tequal(type, H5T_IEEE_F64LE), "type") > 0) return ColumnType::f64;
  if (kind == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_NONE && bytes == 1) return ColumnType::u8;
  if (kind == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_NONE && bytes == 4) return ColumnType::u32;
  if (kind == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_2 && bytes <= 8) return ColumnType::i64;
  throw Hdf5Failure("has a type that is not read here");
}

std::string text_attribute(hid_t object, const char* name) {
  const Handle id(H5Aopen(object, name, H5P_DEFAULT), H5Aclose, "attribute");
  const Handle type(H5Aget_type(id), H5Tclose, "attribute");
  if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0) throw Hdf5Failure("attribute is no text");
  std::string text(H5Tget_size(type), '\0');
  check(H5Aread(id, type, text.data()), "attribute");
  return text.substr(0, text.find('\0'));
}

}  // namespace

struct ColumnReader::State {
  std::string path;
  std::size_t file_bytes = 0;
  Group root;  ///< attributes alone
  std::map<std::string, Column> columns;
  std::unique_ptr<Handle> file;
  std::map<std::string, std::unique_ptr<Handle>> sets;

  [[noreturn]] void fail(const std::string& what) const { throw_error(ExitCode::bad_data, "'{}' {}", path, what); }

  void open(const std::string& name) {
    auto set = std::make_unique<Handle>(H5Dopen2(*file, name.c_str(), H5P_DEFAULT), H5Dclose, "cannot be opened");
    if (check(H5Aexists(*set, kDims), "attribute") == 0) return;  // a dimension without coordinates
    const Handle type(H5Dget_type(*set), H5Tclose, "type"), space(H5Dget_space(*set), H5Sclose, "dataspace");
    Column column;
    column.name = name;
    column.type = column_type(type);
    std::vector<hsize_t> extents(static_cast<std::size_t>(check(H5Sget_simple_extent_ndims(space), "dataspace")));
    check(H5Sget_simple_extent_dims(space, extents.data(), nullptr), "dataspace");
    column.shape.assign(extents.begin(), extents.end());
    std::size_t bytes = H5Tget_size(type);
    for (const hsize_t extent : extents) {
      if (extent == 0 || bytes > file_bytes / extent) throw Hdf5Failure("claims more data than the file has");
      bytes *= extent;
    }
    std::istringstream words(text_attribute(*set, kDims));
    for (std::string word; words >> word;) column.dims.push_back(word);
    if (column.type == ColumnType::text && column.shape.size() == 2) {
      column.text_bytes = column.shape[1];
      column.shape.pop_back();
    }
    if (column.shape.empty() || column.dims.size() != column.shape.size())
      throw Hdf5Failure("has an attribute 'dims' that does not match its shape");
    columns.emplace(name, column);
    sets.emplace(name, std::move(set));
  }
};

ColumnReader::ColumnReader(const std::string& path) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.path = path;
  std::error_code error;
  s.file_bytes = std::filesystem::file_size(path, error);
  if (error) throw_error(ExitCode::no_input, "cannot open '{}': {}", path, error.message());
  start_library();
  std::string at;
  try {
    const Handle access = file_access();
    s.file = std::make_unique<Handle>(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access), H5Fclose,
                                      "is no HDF5 file or is cut short");
    s.root.attributes = read_attributes(*s.file, s.file_bytes);
    std::vector<std::string> names;
    const auto collect = [](hid_t, const char* link, const H5L_info_t* info, void* to) -> herr_t {
      if (info->type != H5L_TYPE_HARD) return -1;  // a link out of the file is no part of it
      static_cast<std::vector<std::string>*>(to)->push_back(link);
      return 0;
    };
    check(H5Literate(*s.file, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names), "links");
    for (const std::string& name : names) {
      at = fmt::format("'{}' ", name);
      const Handle object(H5Oopen(*s.file, name.c_str(), H5P_DEFAULT), H5Oclose, "cannot be opened");
      if (H5Iget_type(object) == H5I_DATASET) s.open(name);
    }
  } catch (const Hdf5Failure& e) {
    s.fail(at + e.what());
  }
}

ColumnReader::~ColumnReader() = default;
ColumnReader::ColumnReader(ColumnReader&&) noexcept = default;

const std::string& ColumnReader::path() const {
  return state_->path;
}
const AttributeValue* ColumnReader::attribute(const std::string& name) const {
  return state_->root.attribute(name);
}
const Column* ColumnReader::column(const std::string& name) const {
  const auto found = state_->columns.find(name);
  return found == state_->columns.end() ? nullptr : &found->second;
}

template <class T>
std::vector<T> ColumnReader::read(const std::string& name, std::size_t first, std::size_t rows) const {
  const State& s = *state_;
  const Column* column = this->column(name);
  if (column == nullptr) s.fail(fmt::format("has no dataset '{}'", name));
  constexpr bool is_text = std::is_same_v<T, std::string>;
  bool fits = is_text == (column->type == ColumnType::text);
  if constexpr (!is_text) {
    const std::size_t bytes = column->type == ColumnType::u8 ? 1 : column->type == ColumnType::u32 ? 4 : 8;
    fits = fits && bytes == sizeof(T) && std::is_floating_point_v<T> == (column->type == ColumnType::f64);
  }
  if (!fits) s.fail(fmt::format("has a dataset '{}' of another type than this format's", name));
  if (first > column->shape[0] || rows > column->shape[0] - first)
    s.fail(
        fmt::format("has {} rows of '{}'; rows {} to {} are asked for", column->shape[0], name, first, first + rows));
  if (rows == 0) return {};
  std::vector<hsize_t> start(column->shape.size(), 0), extent(column->shape.begin(), column->shape.end());
  start[0] = first;
  extent[0] = rows;
  if (is_text) start.push_back(0), extent.push_back(column->text_bytes);
  try {
    const hid_t set = *s.sets.at(name);
    const Handle space(H5Dget_space(set), H5Sclose, "dataspace");
    check(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr), "rows");
    const Handle memory(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose, "memory");
    if constexpr (is_text) {
      std::string packed(rows * column->text_bytes, '\0');
      check(H5Dread(set, text_type(1), memory, space, H5P_DEFAULT, packed.data()), "is damaged (checksum)");
      std::vector<std::string> texts;
      for (std::size_t i = 0; i < rows; ++i) {
        const char* text = packed.data() + i * column->text_bytes;
        texts.emplace_back(text, std::find(text, text + column->text_bytes, '\0'));
      }
      return texts;
    } else {
      std::vector<T> values(rows * column->row());
      check(H5Dread(set, number_type<T>(), memory, space, H5P_DEFAULT, values.data()), "is damaged (checksum)");
      return values;
    }
  } catch (const Hdf5Failure& e) {
    s.fail(fmt::format("'{}' {}", name, e.what()));
  }
}

template std::vector<std::uint8_t> ColumnReader::read(const std::string&, std::size_t, std::size_t) const;
template std::vector<std::uint32_t> ColumnReader::read(const std::string&, std::size_t, std::size_t) const;
template std::vector<std::int64_t> ColumnReader::read(const std::string&, std::size_t, std::size_t) const;
template std::vector<double> ColumnReader::read(const std::string&, std::size_t, std::size_t) const;
template std::vector<std::string> ColumnReader::read(const std::string&, std::size_t, std::size_t) const;

}  // namespace lowbit::store
