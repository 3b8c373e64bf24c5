// Memory traffic through Highway, so that limits use the vectors that the kernels use.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/bench/support/traffic.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cstring>

#include "tests/bench/support/traffic.hpp"

HWY_BEFORE_NAMESPACE();
namespace lowbit::bench {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
constexpr std::size_t kStep = 64;  // values a turn: four cache lines

template <bool kWrite>
HWY_INLINE void prefetch(const float* x) {
  for (std::size_t i = 0; i < kStep; i += 16) __builtin_prefetch(x + i, kWrite, 3);
}

template <bool kStream>
HWY_INLINE void store(hn::Vec<D> v, float* y) {
  if constexpr (kStream)
    hn::Stream(v, D(), y);
  else
    hn::Store(v, D(), y);
}

/// kScale: multiplies by 1, which leaves the values but not the instruction.
template <bool kPrefetch, bool kWrite, bool kStream, bool kScale>
void Copy(const float* x, float* y, std::size_t n, std::size_t ahead) {
  const D d;
  const std::size_t lanes = hn::Lanes(d);
  volatile float one = 1;
  const auto factor = hn::Set(d, one);
  for (std::size_t i = 0; i < n; i += kStep) {
    if constexpr (kPrefetch) prefetch<kWrite>(x + i + ahead);
    for (std::size_t k = 0; k < kStep; k += lanes) {
      auto v = hn::Load(d, x + i + k);
      if constexpr (kScale) v = hn::Mul(v, factor);
      store<kStream>(v, y + i + k);
    }
  }
  if constexpr (kStream) hwy::FlushStream();
}

template <bool kPrefetch>
float Read(const float* x, std::size_t n, std::size_t ahead) {
  const D d;
  const std::size_t lanes = hn::Lanes(d);
  auto a = hn::Zero(d), b = a, c = a, e = a;
  for (std::size_t i = 0; i < n; i += kStep) {
    if constexpr (kPrefetch) prefetch<false>(x + i + ahead);
    for (std::size_t k = 0; k < kStep; k += 4 * lanes) {
      a = hn::Max(a, hn::LoadU(d, x + i + k));
      b = hn::Max(b, hn::LoadU(d, x + i + k + lanes));
      c = hn::Max(c, hn::LoadU(d, x + i + k + 2 * lanes));
      e = hn::Max(e, hn::LoadU(d, x + i + k + 3 * lanes));
    }
  }
  return hn::GetLane(hn::Max(hn::Max(a, b), hn::Max(c, e)));
}

/// Lines of data, no two alike. Memory here takes lines of one repeated word twice as fast as any others (memset, or
/// streaming stores of a constant): a limit that nothing that has values to write can come near.
template <bool kStream, bool kPrefetch>
void Write(float* y, std::size_t n, std::size_t ahead) {
  const D d;
  const hn::RebindToSigned<D> di;
  const std::size_t lanes = hn::Lanes(d);
  auto v = hn::Iota(di, 0x3f000000);
  const auto next = hn::Set(di, static_cast<std::int32_t>(lanes));
  for (std::size_t i = 0; i < n; i += kStep) {
    if constexpr (kPrefetch) prefetch<true>(y + i + ahead);
    for (std::size_t k = 0; k < kStep; k += lanes) {
      store<kStream>(hn::BitCast(d, v), y + i + k);
      v = hn::Add(v, next);
    }
  }
  if constexpr (kStream) hwy::FlushStream();
}

float Run(const Traffic& t, float* x, float* y, std::size_t n) {
  switch (t.pattern) {
    case Pattern::copy:
      if (t.stream)
        t.ahead ? Copy<true, false, true, false>(x, y, n, t.ahead) : Copy<false, false, true, false>(x, y, n, 0);
      else
        t.ahead ? Copy<true, false, false, false>(x, y, n, t.ahead) : Copy<false, false, false, false>(x, y, n, 0);
      return 0;
    case Pattern::in_place:
      if (t.ahead == 0)
        Copy<false, false, false, true>(x, x, n, 0);
      else if (t.prefetch_write)
        Copy<true, true, false, true>(x, x, n, t.ahead);
      else
        Copy<true, false, false, true>(x, x, n, t.ahead);
      return 0;
    case Pattern::read:
      return t.ahead ? Read<true>(x, n, t.ahead) : Read<false>(x, n, 0);
    default:
      if (t.stream)
        Write<true, false>(y, n, 0);
      else
        t.ahead ? Write<false, true>(y, n, t.ahead) : Write<false, false>(y, n, 0);
      return 0;
  }
}

void BlockPass(const float* x, float* y, std::size_t n) {
  constexpr std::size_t kBlock = 32;
  const D d;
  const hn::RebindToSigned<D> di;
  const std::size_t lanes = hn::Lanes(d);
  const auto exponent_mask = hn::Set(di, 0x7f800000), reciprocal = hn::Set(di, 254 << 23);
  for (std::size_t b = 0; b < n; b += kBlock) {
    auto largest = hn::Abs(hn::LoadU(d, x + b));
    for (std::size_t i = lanes; i < kBlock; i += lanes) largest = hn::Max(largest, hn::Abs(hn::LoadU(d, x + b + i)));
    const auto exponent = hn::And(hn::BitCast(di, hn::MaxOfLanes(d, largest)), exponent_mask);
    const auto scale = hn::BitCast(d, exponent), inverse = hn::BitCast(d, hn::Sub(reciprocal, exponent));
    for (std::size_t i = 0; i < kBlock; i += lanes)
      hn::StoreU(hn::Mul(hn::Round(hn::Mul(hn::LoadU(d, x + b + i), inverse)), scale), d, y + b + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit::bench {

HWY_EXPORT(Run);
HWY_EXPORT(BlockPass);

void run_block_pass(const float* x, float* y, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(BlockPass)(x, y, n);
}

const char* to_string(Pattern pattern) {
  constexpr const char* kNames[] = {"copy", "in place", "read", "write", "two passes", "two passes, in place"};
  return kNames[static_cast<int>(pattern)];
}

std::string Traffic::name() const {
  if (libc) return "memcpy";
  std::string text = stream ? "streaming stores" : pattern == Pattern::read ? "loads" : "stores";
  if (ahead > 0)
    text += ", prefetch" + std::string(prefetch_write ? " for writing " : " ") + std::to_string(ahead * 4) + " B";
  return text;
}

std::vector<Traffic> variants(Pattern pattern) {
  std::vector<Traffic> all;
  const bool stores = pattern != Pattern::read, out = pattern == Pattern::copy || pattern == Pattern::write;
  if (pattern == Pattern::copy) all.push_back({pattern, 0, false, false, true});
  for (const bool stream : {false, true}) {
    if (stream && !out) continue;
    for (const std::size_t ahead : {0, 256, 512, 1024, 2048, 4096}) {
      if (ahead > 0 && pattern == Pattern::write) {
        if (!stream) all.push_back({pattern, ahead, true, stream, false});
        continue;
      }
      all.push_back({pattern, ahead, false, stream, false});
      if (stores && ahead > 0 && pattern == Pattern::in_place) all.push_back({pattern, ahead, true, stream, false});
    }
  }
  return all;
}

float run_traffic(const Traffic& traffic, float* x, float* y, std::size_t n) {
  if (!traffic.libc) return HWY_DYNAMIC_DISPATCH(Run)(traffic, x, y, n);
  std::memcpy(y, x, n * sizeof(float));
  return 0;
}

}  // namespace lowbit::bench
#endif
