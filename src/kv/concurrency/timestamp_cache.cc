#include "orrery/kv/concurrency/timestamp_cache.h"

#include <algorithm>
#include <utility>

namespace orrery::kv {
namespace {

template <class Table>
void DropPage(Table (&pages)[2], Timestamp (&max)[2], Timestamp& low_water) {
  low_water.Forward(max[1]);
  pages[1] = std::move(pages[0]);
  pages[0] = Table();
  max[1] = std::exchange(max[0], Timestamp());
}

}  // namespace

TimestampCache::TimestampCache(Timestamp low_water, TimestampCacheOptions options)
    : options_(options), keys_low_water_(low_water), records_low_water_(low_water) {}

TimestampCache::~TimestampCache() = default;

void TimestampCache::Merge(ReadMark& into, Timestamp ts, std::string_view txn_id) {
  if (ts < into.ts) return;
  if (ts > into.ts) {
    into.ts = ts;
    into.txn_id.assign(txn_id);
  } else if (into.txn_id != txn_id) {
    into.txn_id.clear();  // read by several at one timestamp: nobody may write at it
  }
}

void TimestampCache::AddRead(SpanRef span, Timestamp ts, std::string_view txn_id) {
  if (ts < keys_low_water_) return;
  if (!span.is_point()) return AddSpan(span, ts, txn_id);
  points_max_[0].Forward(ts);
  if (auto it = points_[0].find(span.start); it != points_[0].end()) return Merge(it->second, ts, txn_id);
  if (points_[0].size() >= options_.keys_per_page_max) {
    DropPage(points_, points_max_, keys_low_water_);
    points_max_[0] = ts;
  }
  points_[0].emplace(std::string(span.start), ReadMark{ts, std::string(txn_id)});
}

void TimestampCache::AddSpan(SpanRef span, Timestamp ts, std::string_view txn_id) {
  if (spans_[0].size() + 2 > options_.spans_per_page_max) DropPage(spans_, spans_max_, keys_low_water_);
  spans_max_[0].Forward(ts);
  Steps& steps = spans_[0];
  const auto ensure_boundary = [&](std::string_view key) {
    auto it = steps.lower_bound(key);
    if (it != steps.end() && it->first == key) return;
    ReadMark mark = it == steps.begin() ? ReadMark{} : std::prev(it)->second;
    steps.emplace(std::string(key), std::move(mark));
  };
  ensure_boundary(span.start);
  ensure_boundary(span.end);
  for (auto it = steps.lower_bound(span.start); it->first < span.end; ++it) Merge(it->second, ts, txn_id);
  // Boundaries between equal steps are not needed any more.
  auto it = steps.lower_bound(span.start);
  while (it != steps.end() && it->first <= span.end) {
    const bool same = it == steps.begin() ? it->second == ReadMark{} : std::prev(it)->second == it->second;
    it = same ? steps.erase(it) : std::next(it);
  }
}

// As Merge.
void TimestampCache::MarkView::Add(const ReadMark& mark) {
  if (mark.ts < ts) return;
  if (mark.ts > ts) {
    ts = mark.ts;
    txn_id = mark.txn_id;
  } else if (txn_id != mark.txn_id) {
    txn_id = {};
  }
}

void TimestampCache::MaxOverSteps(const Steps& steps, SpanRef span, MarkView& max) const {
  auto it = steps.upper_bound(span.start);
  if (it != steps.begin()) max.Add(std::prev(it)->second);
  if (span.is_point()) return;
  for (; it != steps.end() && it->first < span.end; ++it) max.Add(it->second);
}

TimestampCache::MarkView TimestampCache::MaxOf(SpanRef span) const {
  MarkView max{keys_low_water_, {}};
  const size_t hash = span.is_point() ? points_[0].hash_function()(span.start) : 0;
  for (const auto& page : points_) {
    if (span.is_point()) {
      if (auto it = page.find(span.start, hash); it != page.end()) max.Add(it->second);
    } else {
      for (const auto& [key, mark] : page) {  // the maximum does not depend on the order
        if (span.Contains(key)) max.Add(mark);
      }
    }
  }
  for (const Steps& steps : spans_) {
    if (!steps.empty()) MaxOverSteps(steps, span, max);
  }
  return max;
}

ReadMark TimestampCache::GetMax(SpanRef span) const {
  const MarkView max = MaxOf(span);
  return {max.ts, std::string(max.txn_id)};
}

Timestamp TimestampCache::WritableAt(std::string_view key, Timestamp ts, std::string_view txn_id) const {
  const MarkView mark = MaxOf(key);
  if (ts > mark.ts) return ts;
  return !txn_id.empty() && mark.txn_id == txn_id ? mark.ts : mark.ts.Next();
}

TimestampCache::Mark& TimestampCache::MarkOf(std::string_view txn_id, Timestamp min_ts) {
  if (auto it = marks_[0].find(txn_id); it != marks_[0].end()) {
    marks_max_[0].Forward(min_ts);
    return it->second;
  }
  if (marks_[0].size() >= options_.records_per_page_max) {
    DropPage(marks_, marks_max_, records_low_water_);
    allowed_.clear();  // the page may have held their marks
  }
  marks_max_[0].Forward(min_ts);
  Mark mark;
  if (auto it = marks_[1].find(txn_id); it != marks_[1].end()) {
    mark = it->second;
    marks_[1].erase(it);
  }
  return marks_[0].emplace(std::string(txn_id), mark).first->second;
}

void TimestampCache::MarkFinished(std::string_view txn_id, TxnStatus outcome, Timestamp commit_ts,
                                  Timestamp min_ts) {
  Mark& mark = MarkOf(txn_id, min_ts);
  mark.outcome = outcome;
  mark.commit_ts = commit_ts;
  if (const auto it = allowed_.find(txn_id); it != allowed_.end()) allowed_.erase(it);
}

void TimestampCache::MarkPushed(std::string_view txn_id, Timestamp to, Timestamp min_ts) {
  MarkOf(txn_id, min_ts).pushed_to.Forward(to);
}

RecordMark TimestampCache::GetRecordMark(std::string_view txn_id) const {
  RecordMark out;
  out.low_water = records_low_water_;
  const size_t hash = marks_[0].hash_function()(txn_id);
  for (const auto& page : marks_) {
    if (auto it = page.find(txn_id, hash); it != page.end()) {
      out.outcome = it->second.outcome;
      out.commit_ts = it->second.commit_ts;
      out.pushed_to = it->second.pushed_to;
      break;
    }
  }
  if (const auto it = allowed_.find(txn_id, hash); it != allowed_.end()) out.low_water = it->second;
  return out;
}

void TimestampCache::AllowRecord(std::string_view txn_id, Timestamp min_ts, const UnwrittenRecord& record) {
  if (!record.pushed_to.IsZero()) MarkPushed(txn_id, record.pushed_to, min_ts);
  allowed_[std::string(txn_id)] = record.low_water;
}

void TimestampCache::RaiseLowWater(const ReadSummary& summary) {
  keys_low_water_.Forward(summary.keys);
  records_low_water_.Forward(summary.records);
  allowed_.clear();
}

ReadSummary TimestampCache::Summarize() const {
  ReadSummary out{keys_low_water_, records_low_water_};
  for (int page = 0; page < 2; ++page) {
    out.keys.Forward(std::max(points_max_[page], spans_max_[page]));
    out.records.Forward(marks_max_[page]);
  }
  return out;
}

}  // namespace orrery::kv
