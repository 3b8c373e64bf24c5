// The fields of a trace as columns: what trace_writer.cpp and trace_reader.cpp share.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "sim/early_exit/trace.hpp"

namespace lowbit::rcp {

inline constexpr const char* kTextNames[] = {"model", "dataset", "end_token", "gold"};
inline constexpr std::string early_exit::Trace::*kTextFields[] = {
    &early_exit::Trace::model, &early_exit::Trace::dataset, &early_exit::Trace::end_token, &early_exit::Trace::gold};

/// The fields over sentences that a trace may lack, each with what stands for it then; f(name, member, filler).
template <class F>
void each_optional(F f) {
  using early_exit::Trace;
  f("wait", &Trace::wait, std::uint8_t{0});
  f("stage", &Trace::stage, std::uint8_t{0});
  f("ok", &Trace::ok, early_exit::Outcome::unknown);
  f("content_tok", &Trace::content_tok, std::int32_t{-1});
  f("conf", &Trace::conf, -1.0);
  f("conf_geo", &Trace::conf_geo, -1.0);
  f("boost", &Trace::boost, std::numeric_limits<double>::quiet_NaN());
  f("ties", &Trace::ties, std::int32_t{0});
}

/// The numbers over traces, as int64; f(name, get, set). set() is false where the field cannot hold the number (a flag:
/// 0 and 1 alone).
template <class F>
void each_number(F f) {
  using early_exit::Trace;
  const auto number = [&](const char* name, auto reference) {
    f(
        name, [reference](const Trace& t) { return static_cast<std::int64_t>(reference(const_cast<Trace&>(t))); },
        [reference](Trace& t, std::int64_t v) {
          auto& field = reference(t);
          field = static_cast<std::decay_t<decltype(field)>>(v);
          return static_cast<std::int64_t>(field) == v;
        });
  };
  number(
      "end_token_id", [](Trace & t) -> auto& { return t.end_token_id; });
  number(
      "vocab_size", [](Trace & t) -> auto& { return t.vocab_size; });
  number(
      "end_natural", [](Trace & t) -> auto& { return t.end.natural; });
  number(
      "end_think_tok", [](Trace & t) -> auto& { return t.end.think_tok; });
  number(
      "end_content_tok", [](Trace & t) -> auto& { return t.end.content_tok; });
  number(
      "end_ok", [](Trace & t) -> auto& { return t.end.ok; });
  number(
      "k_rcp", [](Trace & t) -> auto& { return t.k_rcp; });
  number(
      "simulated", [](Trace & t) -> auto& { return t.simulated; });
}

/// How a field's values are stored.
template <class T>
using Stored =
    std::conditional_t<std::is_same_v<T, std::int32_t> || std::is_same_v<T, early_exit::Outcome>, std::int64_t, T>;

}  // namespace lowbit::rcp
