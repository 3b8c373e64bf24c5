// An output file that is either complete or absent: written under a name of its own, synced, then renamed.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace lowbit {

class OutputFile {
 public:
  /// Prepares `path`. Without `force` an existing file is never replaced, not even one that appears meanwhile.
  /// Error (cannot_create): path is a directory, exists (without force), its folder does not exist or cannot be
  /// written.
  OutputFile(const std::string& path, bool force);
  /// Removes the temporary file unless committed.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  const std::string& path() const { return path_; }
  /// Name under which the content is written until commit(); exists and is empty after construction.
  const std::string& temporary() const { return temporary_; }
  /// Appends. Error (io): disk full, file too large, and the like; nothing remains then.
  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Syncs and gives the file its name. Error (io, or cannot_create where `path` has come to exist).
  void commit();

 private:
  [[noreturn]] void fail(const std::string& what);

  std::string path_, temporary_;
  bool force_;
  int descriptor_ = -1;
};

}  // namespace lowbit
