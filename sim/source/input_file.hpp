// A regular file opened for reading, addressed by offset. Ranges are checked against the size of the file before memory
// is allocated for them. Reads go through pread: a file that another program truncates meanwhile is then an
// Error and not, as in a mapping, a SIGBUS.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace lowbit {

class InputFile {
 public:
  /// Error (no_input): the path does not exist, cannot be read, or is not a regular file.
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  /// Copies bytes [offset, offset + count) to `out`. Error (bad_data) where they reach beyond the end of the file, (io)
  /// where the system reports a read error.
  void read(std::uint64_t offset, std::size_t count, void* out) const;
  /// The whole file in place, as long as this object lives; not from several threads at once. nullptr where the system
  /// refuses. Reading what was cut off meanwhile ends the process with SIGBUS.
  const std::byte* map();

 private:
  std::string path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  void* mapped_ = nullptr;
};

/// The whole of a text file of at most `limit` bytes. Errors as InputFile; bad_data where it is longer.
std::string read_text(const std::string& path, std::uint64_t limit);

}  // namespace lowbit
