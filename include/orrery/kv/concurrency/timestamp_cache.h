// TimestampCache: up to which timestamp each key of a range was read, so that no write slips below a read
// that was already answered (T6, T7). It also keeps the marks on transaction records: which can no longer be
// created, and to where a pusher moved one that does not exist yet (T16, B26, B27).
//
// Memory is bounded: keys live in two pages; when the newer is full the older is dropped and the low-water
// mark rises to the largest timestamp it held. Answers therefore err only upwards, which costs a refresh or
// a retry and never isolation. Not thread-safe: the replica's mutex guards it.
#pragma once

#include <string>
#include <string_view>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "orrery/base/hash.h"
#include "orrery/base/timestamp.h"
#include "orrery/kv/api/transaction.h"
#include "orrery/kv/concurrency/admission.h"
#include "orrery/kv/concurrency/lock_handover.h"

namespace orrery::kv {

// A read at `ts`. `txn_id` is the reader if a single transaction read at that timestamp, else empty: a
// transaction may write at the timestamp of its own read, everybody else only above it.
struct ReadMark {
  Timestamp ts;
  std::string txn_id;
  friend bool operator==(const ReadMark&, const ReadMark&) = default;
};

// What the cache knows of a transaction whose record is absent.
struct RecordMark {
  // The record's fate if it was finished here and the record is gone: kCommitted or kAborted; else kPending.
  TxnStatus outcome = TxnStatus::kPending;
  Timestamp commit_ts;    // of kCommitted
  Timestamp low_water;    // a record whose transaction began (min_ts) at or below can no longer be created
  Timestamp pushed_to;    // it commits at or above this
};

// Everything a new leaseholder must honour of the old one's reads (R3, R6, B29), in short form.
struct ReadSummary {
  Timestamp keys;
  Timestamp records;
  friend bool operator==(const ReadSummary&, const ReadSummary&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, keys);
    v(2, records);
  }
};

struct TimestampCacheOptions {
  size_t keys_per_page_max = 64 * 1024;
  size_t spans_per_page_max = 4 * 1024;
  size_t records_per_page_max = 64 * 1024;
};

class TimestampCache {
 public:
  // T8, B27: `low_water` is the lease's start, or later.
  explicit TimestampCache(Timestamp low_water, TimestampCacheOptions options = {});
  ~TimestampCache();

  // T6: before the read's latches are released. Empty `txn_id`: not transactional.
  void AddRead(SpanRef span, Timestamp ts, std::string_view txn_id);
  // The latest read of any part of the span. Points are quick; a span walks all cached keys (only spans that
  // erase or lock as a whole ask so).
  ReadMark GetMax(SpanRef span) const;
  // T7: the least timestamp at or above `ts` at which `txn_id` may write the key.
  Timestamp WritableAt(std::string_view key, Timestamp ts, std::string_view txn_id) const;

  // The transaction is finished: its record can never be created (again).
  void MarkFinished(std::string_view txn_id, TxnStatus outcome, Timestamp commit_ts, Timestamp min_ts);
  // A pusher moved a transaction that has no record yet: it commits at or above `to`.
  void MarkPushed(std::string_view txn_id, Timestamp to, Timestamp min_ts);
  RecordMark GetRecordMark(std::string_view txn_id) const;
  // All that the former leaseholder knew of the transaction at the end of its lease: its record may be created as
  // it might have been there, though it began before this lease.
  void AllowRecord(std::string_view txn_id, Timestamp min_ts, const UnwrittenRecord& record);

  // A new lease, a merge, a snapshot: nothing below these may be written any more (T8). Ends what AllowRecord allowed.
  void RaiseLowWater(const ReadSummary& summary);
  // R6: the largest timestamps read or marked so far. R3: both halves of a split start from it.
  ReadSummary Summarize() const;

 private:
  struct Mark {
    TxnStatus outcome = TxnStatus::kPending;
    Timestamp commit_ts;
    Timestamp pushed_to;
  };
  template <class Value>
  using Table = absl::flat_hash_map<std::string, Value, StringHash, StringEq>;
  // A step function over the key space: a boundary's mark holds up to the next boundary.
  using Steps = absl::btree_map<std::string, ReadMark, std::less<>>;

  // A ReadMark as a view into the cache.
  struct MarkView {
    Timestamp ts;
    std::string_view txn_id;
    void Add(const ReadMark& mark);
  };

  static void Merge(ReadMark& into, Timestamp ts, std::string_view txn_id);
  MarkView MaxOf(SpanRef span) const;
  void AddSpan(SpanRef span, Timestamp ts, std::string_view txn_id);
  Mark& MarkOf(std::string_view txn_id, Timestamp min_ts);
  void MaxOverSteps(const Steps& steps, SpanRef span, MarkView& max) const;

  TimestampCacheOptions options_;
  Timestamp keys_low_water_;
  Timestamp records_low_water_;
  Table<ReadMark> points_[2];  // [0] is the page being filled
  Timestamp points_max_[2];
  Steps spans_[2];
  Timestamp spans_max_[2];
  Table<Mark> marks_[2];
  Table<Timestamp> allowed_;   // low-water marks of single transactions; never outlives a mark that it needs
  Timestamp marks_max_[2];     // of min_ts: once those cannot be created, their marks are not needed
};

}  // namespace orrery::kv
