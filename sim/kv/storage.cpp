#include "sim/kv/storage.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <stdexcept>

#include "formats/error.hpp"

namespace lowbit::kv {

Stream::Place Stream::find(std::size_t slot) const {
  assert(slot < slots());
  std::size_t first = slots();  // most calls are about the last slots
  for (std::size_t i = parts_.size(); i-- > 0;) {
    first -= parts_[i].slots;
    if (slot >= first) return {i, first};
  }
  throw std::logic_error("kv: slot outside of the stream");
}

void Stream::append(ConstRows rows, const std::int64_t* positions) {
  assert(rows.columns == width_);
  if (rows.rows == 0) return;
  if (parts_.empty() || parts_.back().block) parts_.emplace_back();
  Piece& piece = parts_.back();
  const std::size_t old = piece.values.size();
  piece.values.resize(old + rows.rows * width_);
  model::copy_rows(rows, Rows(piece.values.data() + old, rows.rows, width_));
  piece.slots += rows.rows;
  positions_.insert(positions_.end(), positions, positions + rows.rows);
  note_latest(positions, rows.rows);
}

void Stream::note_latest(const std::int64_t* positions, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) latest_ = std::max(latest_, positions[i]);
}

void Stream::check_finite(const Piece& piece, std::size_t from, std::size_t count, std::size_t first_slot) const {
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t c = 0; c < width_; ++c)
      if (const float x = piece.row(from + i, width_)[c]; !std::isfinite(x))
        throw_error(ExitCode::bad_data, "{}: {} at position {}, channel {}; finite values are expected", name_, x,
                    positions_[first_slot + i], c);
}

// Drops the first rows of an open piece; the memory goes when half of it is unused.
void Stream::take_front(std::size_t index, std::size_t count) {
  Piece& piece = parts_[index];
  piece.start += count;
  piece.slots -= count;
  if (piece.start < piece.slots) return;
  piece.values.erase(piece.values.begin(), piece.values.begin() + static_cast<std::ptrdiff_t>(piece.start * width_));
  piece.start = 0;
}

// Blocks more before piece `at`, or rows more in the block before it; returns where the next piece belongs.
std::size_t Stream::add_sealed(std::size_t at, ConstRows rows, const std::shared_ptr<const Codec>& codec) {
  const auto grows = [&](const Piece& piece) {
    return piece.block && piece.codec == codec && piece.kept.empty() && piece.slots < codec->block_rows() &&
           codec->granule() < codec->block_rows() && codec->block_rows() != Codec::kUnlimited;
  };
  for (std::size_t done = 0; done < rows.rows;) {
    Piece* before = at > 0 && grows(parts_[at - 1]) ? &parts_[at - 1] : nullptr;
    const std::size_t room = codec->block_rows() - (before != nullptr ? before->slots : 0);
    const std::size_t n = std::min(room, rows.rows - done);
    if (before != nullptr) {
      codec->extend(*before->block, rows.slice(done, n));
      before->slots += n;
    } else {
      Piece piece;
      piece.slots = n;
      piece.codec = codec;
      piece.block = codec->seal(rows.slice(done, n));
      parts_.insert(parts_.begin() + static_cast<std::ptrdiff_t>(at++), std::move(piece));
    }
    done += n;
  }
  return at;
}

void Stream::seal(std::size_t first, std::size_t count, std::shared_ptr<const Codec> codec) {
  if (count == 0) return;
  Place place = find(first);
  if (parts_[place.piece].block || first + count > place.first + parts_[place.piece].slots)
    throw std::logic_error("kv: slots to seal must lie in one open part");
  if (count % codec->granule() != 0) throw std::logic_error("kv: slots to seal must be whole groups");
  check_finite(parts_[place.piece], first - place.first, count, first);
  if (const std::size_t before = first - place.first; before > 0) {  // the rows before stay open, on their own
    Piece head;
    head.slots = before;
    const float* values = parts_[place.piece].row(0, width_);
    head.values.assign(values, values + before * width_);
    take_front(place.piece, before);
    parts_.insert(parts_.begin() + static_cast<std::ptrdiff_t>(place.piece), std::move(head));
    ++place.piece;
  }
  Piece open = std::move(parts_[place.piece]);
  parts_.erase(parts_.begin() + static_cast<std::ptrdiff_t>(place.piece));
  const std::size_t at = add_sealed(place.piece, ConstRows(open.row(0, width_), count, width_), codec);
  sealed_ += count;
  if (open.slots == count) return;
  parts_.insert(parts_.begin() + static_cast<std::ptrdiff_t>(at), std::move(open));
  take_front(at, count);
}

void Stream::overwrite(std::size_t first, ConstRows rows, const std::int64_t* positions) {
  assert(rows.columns == width_ && first + rows.rows <= slots());
  for (std::size_t done = 0; done < rows.rows;) {
    const Place place = find(first + done);
    Piece& piece = parts_[place.piece];
    const std::size_t inside = first + done - place.first, n = std::min(piece.slots - inside, rows.rows - done);
    if (piece.block) {
      if (n != piece.slots) throw std::logic_error("kv: a sealed part is overwritten whole or not at all");
      sealed_ -= n;
      piece = Piece{};
      piece.slots = n;
      piece.values.resize(n * width_);
    }
    model::copy_rows(rows.slice(done, n), Rows(piece.row(inside, width_), n, width_));
    done += n;
  }
  std::copy_n(positions, rows.rows, positions_.begin() + static_cast<std::ptrdiff_t>(first));
  note_latest(positions, rows.rows);
}

void Stream::erase(std::size_t first, std::size_t count) {
  assert(first + count <= slots());
  for (std::size_t left = count; left > 0;) {
    const Place place = find(first);
    Piece& piece = parts_[place.piece];
    const std::size_t inside = first - place.first, n = std::min(piece.slots - inside, left);
    if (piece.block) sealed_ -= n;
    const auto at = static_cast<std::ptrdiff_t>(first);
    positions_.erase(positions_.begin() + at, positions_.begin() + at + static_cast<std::ptrdiff_t>(n));
    if (n == piece.slots) {
      parts_.erase(parts_.begin() + static_cast<std::ptrdiff_t>(place.piece));
    } else if (piece.block) {
      if (piece.kept.empty())
        for (std::uint32_t row = 0; row < piece.slots; ++row) piece.kept.push_back(row);
      const auto begin = piece.kept.begin() + static_cast<std::ptrdiff_t>(inside);
      piece.kept.erase(begin, begin + static_cast<std::ptrdiff_t>(n));
      piece.slots -= n;
    } else {
      const auto begin = piece.values.begin() + static_cast<std::ptrdiff_t>((piece.start + inside) * width_);
      piece.values.erase(begin, begin + static_cast<std::ptrdiff_t>(n * width_));
      piece.slots -= n;
    }
    left -= n;
  }
}

Stream::Part Stream::part(std::size_t index) const {
  Part part;
  for (std::size_t i = 0; i < index; ++i) part.first += parts_[i].slots;
  part.slots = parts_[index].slots;
  part.block = parts_[index].block.get();
  return part;
}

ConstRows Stream::open_rows(std::size_t index) const {
  const Piece& piece = parts_[index];
  if (piece.block) return {};
  return {piece.row(0, width_), piece.slots, width_};
}

void Stream::read(std::size_t index, std::size_t first, Rows out) const {
  const Piece& piece = parts_[index];
  assert(first + out.rows <= piece.slots);
  if (!piece.block) {
    model::copy_rows(ConstRows(piece.row(first, width_), out.rows, width_), out);
  } else if (piece.kept.empty()) {
    piece.block->decode(first, out);
  } else {
    for (std::size_t i = 0; i < out.rows; ++i) piece.block->decode(piece.kept[first + i], out.slice(i, 1));
  }
}

Matrix Stream::gather(const std::vector<std::size_t>& wanted) const {
  Matrix out(wanted.size(), width_);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const Place place = find(wanted[i]);
    read(place.piece, wanted[i] - place.first, out.view().slice(i, 1));
  }
  return out;
}

Matrix Stream::rows() const {
  Matrix out(slots(), width_);
  std::size_t first = 0;
  for (std::size_t i = 0; i < parts_.size(); first += parts_[i++].slots)
    read(i, 0, out.view().slice(first, parts_[i].slots));
  return out;
}

Bytes Stream::bytes(std::vector<const void*>& counted) const {
  Bytes bytes;
  const Codec* last = nullptr;
  for (const Piece& piece : parts_) {
    if (!piece.block) {
      bytes.tail += 2 * piece.slots * width_;
      continue;
    }
    bytes.add(piece.block->bytes());
    if (piece.codec.get() == last) continue;
    last = piece.codec.get();
    for (const Table& table : last->tables())
      if (std::find(counted.begin(), counted.end(), table.identity) == counted.end()) {
        counted.push_back(table.identity);
        bytes.add(table.bytes);
      }
  }
  bool consecutive = true;
  for (std::size_t i = 1; i < positions_.size(); ++i)
    consecutive = consecutive && positions_[i] == positions_[i - 1] + 1;
  if (!consecutive) bytes.indices += 4 * positions_.size();
  return bytes;
}

std::vector<std::uint8_t> Stream::dump() const {
  std::vector<std::uint8_t> out;
  for (const Piece& piece : parts_)
    if (piece.block) piece.block->dump(out);
  return out;
}

void Storage::add(std::string_view name, std::size_t heads, std::size_t width) {
  if (has(name)) throw std::logic_error("kv: a stream of this name exists");
  Named named{std::string(name), {}};
  for (std::size_t head = 0; head < heads; ++head)
    named.streams.emplace_back(heads == 1 ? name_ + named.name : name_ + named.name + " head " + std::to_string(head),
                               width);
  streams_.push_back(std::move(named));
}

const Storage::Named* Storage::find(std::string_view name) const {
  for (const Named& named : streams_)
    if (named.name == name) return &named;
  return nullptr;
}

const Stream& Storage::stream(std::string_view name, std::size_t head) const {
  const Named* named = find(name);
  if (named == nullptr) throw std::logic_error("kv: no stream '" + std::string(name) + "'");
  return named->streams.at(head);
}

Stream& Storage::stream(std::string_view name, std::size_t head) {
  return const_cast<Stream&>(static_cast<const Storage&>(*this).stream(name, head));
}

std::size_t Storage::heads(std::string_view name) const {
  const Named* named = find(name);
  return named == nullptr ? 0 : named->streams.size();
}

std::vector<double>& Storage::state(std::string_view name, std::size_t head, std::size_t size) {
  for (State& state : states_)
    if (state.name == name && state.head == head) return state.values;
  states_.push_back({std::string(name), head, std::vector<double>(size)});
  return states_.back().values;
}

Bytes Storage::bytes() const {
  Bytes bytes;
  std::vector<const void*> counted;
  for (const Named& named : streams_)
    for (const Stream& stream : named.streams) bytes.add(stream.bytes(counted));
  for (const State& state : states_) bytes.states += 2 * state.values.size();
  return bytes;
}

}  // namespace lowbit::kv
