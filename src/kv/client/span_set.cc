#include "kv/client/span_set.h"

#include <algorithm>

namespace orrery::kv {
namespace {

// The first key after a point or span.
std::string EndOf(const Span& span) { return span.is_point() ? span.start + '\0' : span.end; }

// Whether a span that starts at `start` lies wholly behind `span`, without touching it.
bool IsBehind(std::string_view start, const Span& span) {
  return span.is_point() ? start > span.start : start > span.end;
}

// Whether a span that starts at `start`, not before `span`, overlaps it.
bool StartsWithin(std::string_view start, const Span& span) {
  return span.is_point() ? start == span.start : start < span.end;
}

size_t Cost(const Span& span) { return sizeof(Span) + span.start.size() + span.end.size(); }

}  // namespace

void SpanSet::Add(std::string_view start, std::string_view end) {
  if (!spans_.empty() && spans_.back().start == start && spans_.back().end == end) return;
  // Keys mostly come in order: what is sorted from the beginning need not be sorted at the end.
  sorted_ = spans_.empty() || (sorted_ && IsBehind(start, spans_.back()));
  spans_.push_back({std::string(start), std::string(end)});
  bytes_ += Cost(spans_.back());
  if (bytes_ > bytes_max_) Condense();
}

const std::vector<Span>& SpanSet::Normalised() {
  if (sorted_) return spans_;
  std::sort(spans_.begin(), spans_.end(), [](const Span& a, const Span& b) { return a.start < b.start; });
  // What overlaps the one before it becomes part of it; the others stay, and mostly stay where they are.
  size_t kept = 0;
  for (size_t i = 1; i < spans_.size(); ++i) {
    Span& last = spans_[kept];
    Span& span = spans_[i];
    if (!StartsWithin(span.start, last)) {
      if (++kept != i) spans_[kept] = std::move(span);
    } else if (EndOf(span) > EndOf(last)) {
      last.end = EndOf(span);
    }
  }
  if (!spans_.empty()) spans_.resize(kept + 1);
  bytes_ = 0;
  for (const Span& span : spans_) bytes_ += Cost(span);
  sorted_ = true;
  return spans_;
}

void SpanSet::Condense() {
  Normalised();
  while (bytes_ > bytes_max_ / 2 && spans_.size() > 1) {
    std::vector<Span> wider;
    bytes_ = 0;
    for (size_t i = 0; i < spans_.size(); i += 2) {
      Span span = std::move(spans_[i]);
      if (i + 1 < spans_.size()) span.end = EndOf(spans_[i + 1]);
      bytes_ += Cost(span);
      wider.push_back(std::move(span));
    }
    spans_ = std::move(wider);
  }
}

}  // namespace orrery::kv
