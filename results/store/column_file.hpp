// Files of columns that are larger than memory: datasets of the root group that grow and are read row by row. The form
// is that of a tree without child groups (tree.hpp), which hdf5_file.hpp reads and xarray opens.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "results/store/file_io.hpp"
#include "results/store/tree.hpp"

namespace lowbit::store {

enum class ColumnType { u8, u32, i64, f64, text };

/// A dataset whose rows lie along its first dimension. Every dim is the name of a coordinate of the same file; a column
/// that bears the name of its only dim is one.
struct Column {
  std::string name;
  ColumnType type = ColumnType::f64;
  std::vector<std::string> dims{};
  std::vector<std::size_t> shape{};  ///< no dimension is 0
  std::size_t text_bytes = 0;      ///< text, coordinates alone: bytes of the longest
  std::vector<Attribute> attributes{};

  std::size_t row() const;  ///< values of a row
  bool is_coordinate() const { return dims.size() == 1 && dims[0] == name; }
};

/// Writes columns of known lengths in pieces, in any order of the columns. The file appears when it is complete.
class ColumnWriter {
 public:
  /// Error: an existing file under Overwrite::refuse, a folder that cannot be made or written.
  ColumnWriter(const std::string& path, Overwrite overwrite, const std::vector<Attribute>& attributes,
               std::vector<Column> columns);
  ~ColumnWriter();

  /// The next whole rows of a column, by its number; T is that of the column. Error (io): the disk is full.
  template <class T>
  void append(std::size_t column, std::span<const T> values);
  /// Attaches the coordinates, forces to disk, renames. std::logic_error where a column is incomplete.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Reads rows of a file that lies on disk. What is damaged is an Error (bad_data) that names file and column.
class ColumnReader {
 public:
  explicit ColumnReader(const std::string& path);
  ~ColumnReader();
  ColumnReader(ColumnReader&&) noexcept;

  const std::string& path() const;
  /// Of the root group; nullptr if there is none of that name.
  const AttributeValue* attribute(const std::string& name) const;
  /// nullptr if there is none of that name.
  const Column* column(const std::string& name) const;
  /// `rows` rows from `first`, as T; Error where the column has another type or fewer rows.
  template <class T>
  std::vector<T> read(const std::string& name, std::size_t first, std::size_t rows) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lowbit::store
