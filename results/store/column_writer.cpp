#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <stdexcept>

#include "results/store/column_file.hpp"
#include "results/store/hdf5_parts.hpp"
#include "results/store/streamed_file.hpp"

namespace lowbit::store {
namespace {

/// Text coordinates are characters, each text ended by NUL: see hdf5_write.cpp.
std::size_t characters(const Column& column) {
  return std::max<std::size_t>(2, column.text_bytes + 1);
}
std::string characters_dimension(const Column& column) {
  return fmt::format("string{}", characters(column));
}

hid_t stored_type(ColumnType type) {
  switch (type) {
    case ColumnType::u8:
      return number_type<std::uint8_t>();
    case ColumnType::u32:
      return number_type<std::uint32_t>();
    case ColumnType::i64:
      return number_type<std::int64_t>();
    default:
      return number_type<double>();
  }
}

Handle make_dataset(hid_t file, const std::string& name, const std::vector<std::size_t>& shape, hid_t type,
                    const void* fill) {
  const Handle space = dataspace(shape), creation = creation_list(H5P_DATASET_CREATE);
  const std::vector<hsize_t> chunk = chunk_shape(shape, H5Tget_size(type));
  check(H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), "chunk");
  check(H5Pset_fletcher32(creation), "checksum");
  if (fill != nullptr) check(H5Pset_fill_value(creation, type, fill), "fill value");
  return {H5Dcreate2(file, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose, "dataset"};
}

template <class T>
constexpr bool holds(ColumnType type) {
  if constexpr (std::is_same_v<T, std::uint8_t>) return type == ColumnType::u8;
  if constexpr (std::is_same_v<T, std::uint32_t>) return type == ColumnType::u32;
  if constexpr (std::is_same_v<T, std::int64_t>) return type == ColumnType::i64;
  if constexpr (std::is_same_v<T, double>) return type == ColumnType::f64;
  return std::is_same_v<T, std::string> && type == ColumnType::text;
}

}  // namespace

std::size_t Column::row() const {
  return std::accumulate(shape.begin() + 1, shape.end(), std::size_t{1}, std::multiplies<>());
}

struct ColumnWriter::State {
  State(const std::string& path, Overwrite overwrite, std::vector<Column> all)
      : file(path, overwrite), columns(std::move(all)), rows(columns.size(), 0) {}

  StreamedFile file;
  std::vector<Column> columns;
  std::vector<std::size_t> handles, rows;  ///< by column
  std::map<std::string, std::int32_t> dimensions;

  void number_dimensions() {
    const auto add = [&](const std::string& name) {
      dimensions.emplace(name, static_cast<std::int32_t>(dimensions.size()));
    };
    for (const Column& c : columns)
      if (c.is_coordinate()) add(c.name);
    for (const Column& c : columns)
      if (c.type == ColumnType::text) add(characters_dimension(c));
  }

  Handle make_text(const Column& c) {
    const std::string dimension = characters_dimension(c);
    if (H5Lexists(file.id(), dimension.c_str(), H5P_DEFAULT) == 0) {
      Handle set = make_dataset(file.id(), dimension, {characters(c)}, H5T_IEEE_F32LE, nullptr);
      mark_scale(set, fmt::format("{}{:10}", kNoVariable, characters(c)), {dimensions.at(dimension)});
      set.close();
    }
    Handle set = make_dataset(file.id(), c.name, {c.shape[0], characters(c)}, text_type(1), nullptr);
    mark_scale(set, c.name, {dimensions.at(c.name), dimensions.at(dimension)});
    write_attribute(set, {"_Encoding", std::string("utf-8")});
    return set;
  }

  Handle make_numbers(const Column& c) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    Handle set =
        make_dataset(file.id(), c.name, c.shape, stored_type(c.type), c.type == ColumnType::f64 ? &nan : nullptr);
    if (c.is_coordinate()) mark_scale(set, c.name, {dimensions.at(c.name)});
    return set;
  }

  void make(const Column& c) {
    Handle set = c.type == ColumnType::text ? make_text(c) : make_numbers(c);
    std::string dims;
    for (const std::string& dim : c.dims) dims += (dims.empty() ? "" : " ") + dim;
    write_attribute(set, {kDims, dims});
    for (const Attribute& attribute : c.attributes) write_attribute(set, attribute);
    handles.push_back(file.keep(std::move(set)));
  }

  void attach(const Column& c, hid_t set) {
    if (c.is_coordinate()) return;
    for (std::size_t d = 0; d < c.dims.size(); ++d) {
      Handle scale(H5Dopen2(file.id(), c.dims[d].c_str(), H5P_DEFAULT), H5Dclose, "coordinate");
      check(H5DSattach_scale(set, scale, static_cast<unsigned>(d)), "dimension scale");
      scale.close();
    }
  }

  void write(std::size_t column, std::size_t count, hid_t type, std::vector<hsize_t> extent, const void* data) {
    file.guarded([&] {
      const hid_t set = file.kept(handles[column]);
      std::vector<hsize_t> start(extent.size(), 0);
      start[0] = rows[column];
      extent[0] = count;
      const Handle space(H5Dget_space(set), H5Sclose, "dataspace");
      check(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr), "rows");
      const Handle memory(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose,
                          "dataspace");
      check(H5Dwrite(set, type, memory, space, H5P_DEFAULT, data), "data");
    });
    rows[column] += count;
  }
};

ColumnWriter::ColumnWriter(const std::string& path, Overwrite overwrite, const std::vector<Attribute>& attributes,
                           std::vector<Column> columns)
    : state_(std::make_unique<State>(path, overwrite, std::move(columns))) {
  State& s = *state_;
  s.number_dimensions();
  s.file.guarded([&] {
    for (const Attribute& attribute : attributes) write_attribute(s.file.id(), attribute);
    for (const Column& column : s.columns) s.make(column);
  });
}

ColumnWriter::~ColumnWriter() = default;

template <class T>
void ColumnWriter::append(std::size_t column, std::span<const T> values) {
  State& s = *state_;
  const Column& c = s.columns.at(column);
  const std::size_t count = values.size() / c.row();
  if (!holds<T>(c.type) || count * c.row() != values.size() || s.rows[column] + count > c.shape[0])
    throw std::logic_error(fmt::format("column '{}': {} values are no rows that are left", c.name, values.size()));
  if (count == 0) return;
  if constexpr (std::is_same_v<T, std::string>) {
    const std::size_t length = characters(c);
    std::string packed(values.size() * length, '\0');
    for (std::size_t i = 0; i < values.size(); ++i) values[i].copy(&packed[i * length], length - 1);
    s.write(column, count, text_type(1), {0, length}, packed.data());
  } else {
    s.write(column, count, stored_type(c.type), {c.shape.begin(), c.shape.end()}, values.data());
  }
}

template void ColumnWriter::append(std::size_t, std::span<const std::uint8_t>);
template void ColumnWriter::append(std::size_t, std::span<const std::uint32_t>);
template void ColumnWriter::append(std::size_t, std::span<const std::int64_t>);
template void ColumnWriter::append(std::size_t, std::span<const double>);
template void ColumnWriter::append(std::size_t, std::span<const std::string>);

void ColumnWriter::finish() {
  State& s = *state_;
  for (std::size_t i = 0; i < s.columns.size(); ++i)
    if (s.rows[i] != s.columns[i].shape[0])
      throw std::logic_error(fmt::format("column '{}' is incomplete", s.columns[i].name));
  s.file.guarded([&] {
    for (std::size_t i = 0; i < s.columns.size(); ++i) s.attach(s.columns[i], s.file.kept(s.handles[i]));
  });
  s.file.finish();
}

}  // namespace lowbit::store
