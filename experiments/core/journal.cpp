#include "experiments/core/journal.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <span>

#include "formats/error.hpp"
#include "formats/random.hpp"
#include "results/store/file_io.hpp"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

/// Record: point number, its values, hash of both; all 8 bytes each.
std::uint64_t checksum(std::span<const std::byte> bytes) {
  return stream_of({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

Journal::Journal(const std::string& stem, const std::string& key, std::size_t values_per_point)
    : folder_(fs::path(stem).parent_path().string()),
      prefix_("." + fs::path(stem).filename().string() + ".points."),
      key_(key),
      values_per_point_(values_per_point) {
  path_ = fmt::format("{}/{}{}.{}", folder_, prefix_, key_, store::attempt_name());
}

Journal::~Journal() {
  if (fd_ >= 0) ::close(fd_);
}

std::vector<std::string> Journal::files(const std::string& key) const {
  std::vector<std::string> found;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder_, missing))
    if (entry.path().filename().string().rfind(prefix_ + key, 0) == 0) found.push_back(entry.path().string());
  std::sort(found.begin(), found.end());
  return found;
}

bool Journal::any() const {
  return !files("").empty();
}

std::map<std::size_t, std::vector<double>> Journal::load(std::size_t point_count) const {
  std::map<std::size_t, std::vector<double>> points;
  const std::size_t record = 8 * (values_per_point_ + 2);
  for (const std::string& file : files(key_)) {
    const std::vector<std::byte> bytes = store::read_whole(file);
    for (std::size_t at = 0; at + record <= bytes.size(); at += record) {
      std::uint64_t number = 0, hash = 0;
      std::memcpy(&number, &bytes[at], 8);
      std::memcpy(&hash, &bytes[at + record - 8], 8);
      if (hash != checksum({&bytes[at], record - 8}) || number >= point_count) break;
      std::vector<double> values(values_per_point_);
      if (!values.empty()) std::memcpy(values.data(), &bytes[at + 8], 8 * values_per_point_);
      points[number] = std::move(values);
    }
  }
  return points;
}

void Journal::append(std::size_t point, const std::vector<double>& values) {
  if (fd_ < 0) {
    store::make_folders(folder_);
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (fd_ < 0) throw_error(ExitCode::cannot_create, "'{}' cannot be created: {}", path_, std::strerror(errno));
  }
  std::vector<std::byte> record(8 * (values_per_point_ + 2));
  const std::uint64_t number = point;
  std::memcpy(record.data(), &number, 8);
  if (!values.empty()) std::memcpy(&record[8], values.data(), 8 * values_per_point_);
  const std::uint64_t hash = checksum({record.data(), record.size() - 8});
  std::memcpy(&record[record.size() - 8], &hash, 8);
  for (std::size_t done = 0; done < record.size();) {
    const ssize_t n = ::write(fd_, &record[done], record.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_error(ExitCode::io, "'{}' cannot be written: {}", path_, std::strerror(errno));
    done += static_cast<std::size_t>(n);
  }
}

void Journal::remove_all() {
  for (const std::string& file : files("")) store::remove_file(file);
}

}  // namespace lowbit
