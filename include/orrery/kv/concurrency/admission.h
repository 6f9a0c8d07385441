// Admission: one batch on its way through latches and locks. The caller (kv/replica) owns it, usually derived
// with what it needs to be woken; the structures of this folder link to it by pointer until Finish().
//
// Pure data and bookkeeping: no threads, no clock. Everything that touches one runs under the range's
// mutex. Order never depends on addresses: requests are ordered by `sequence`, their order of arrival.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "orrery/kv/api/batch.h"

namespace orrery::kv {

// A span as views into the batch, which outlives the request. Empty `end`: the single key `start`.
struct SpanRef {
  std::string_view start;
  std::string_view end;
  SpanRef() = default;
  template <class Key>
    requires std::is_convertible_v<const Key&, std::string_view>
  SpanRef(const Key& point) : start(point) {}  // NOLINT: a key is a span
  SpanRef(std::string_view s, std::string_view e) : start(s), end(e) {}
  SpanRef(const Span& span) : start(span.start), end(span.end) {}  // NOLINT: same meaning
  bool is_point() const { return end.empty(); }
  bool Contains(std::string_view key) const { return is_point() ? key == start : start <= key && key < end; }
  bool Overlaps(const SpanRef& o) const {
    if (is_point()) return o.Contains(start);
    if (o.is_point()) return Contains(o.start);
    return start < o.end && o.start < end;
  }
};

enum class Access : uint8_t { kRead, kWrite };

// What a request isolates while it is evaluated (and, for writes, until its command is applied).
// Two latches conflict if their spans overlap and one writes, except a read at `ts` against a write above
// it. Zero `ts`: no timestamp, conflicts always. A reader with an uncertainty interval declares its limit as
// `ts`, as it must notice writes up to there (T11).
struct LatchSpan {
  SpanRef span;
  Access access = Access::kRead;
  Timestamp ts;
};

// What a request locks or must not find locked by others. kNone: a plain read.
struct LockSpan {
  SpanRef span;
  LockStrength strength = LockStrength::kNone;
};

struct AdmissionSpec {
  const TxnMeta* txn = nullptr;  // null: not transactional. Outlives the request
  // Plain reads conflict with intents at or below this, and push them just above it. Intents in the uncertainty
  // interval are evaluation's to report (T11): pushing them above it would move their commits into the future.
  Timestamp read_ts;
  WaitPolicy wait = WaitPolicy::kBlock;
  absl::InlinedVector<LatchSpan, 2> latches;
  absl::InlinedVector<LockSpan, 2> locks;
};

// A key as latches are compared with it.
class LatchKey {
 public:
  explicit LatchKey(std::string_view key);
  std::string_view key() const { return key_; }
  bool operator<(const LatchKey& o) const {
    if (first_ != o.first_) return first_ < o.first_;
    return second_ != o.second_ ? second_ < o.second_ : key_ < o.key_;
  }

 private:
  // The first sixteen bytes as numbers of the same order: keys of one table share the first few, and the rest nearly
  // always decides. A shorter key's end in zeros: different numbers are in the order of their keys, equal ones say nothing.
  uint64_t first_;
  uint64_t second_;
  std::string_view key_;
};

struct KeyLocks;  // lock_table.cc

class Admission {
 public:
  explicit Admission(AdmissionSpec spec) : spec_(std::move(spec)) {}
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;
  const AdmissionSpec& spec() const { return spec_; }
  // Order of arrival; 0 before the first Sequence().
  uint64_t sequence() const { return sequence_; }

 protected:
  ~Admission() = default;

 private:
  friend class LatchManager;
  friend class LockTable;
  friend class ConcurrencyManager;

  struct Latch;
  using LatchPoints = std::multimap<LatchKey, const Latch*>;
  struct Latch {
    const LatchSpan* span = nullptr;
    Admission* owner = nullptr;
    LatchPoints::iterator at;  // of a point: it is taken out without a search
  };
  enum class Stage : uint8_t { kNew, kWaitsForLatch, kHoldsLatches, kWaitsForLock, kFinished };

  AdmissionSpec spec_;
  uint64_t sequence_ = 0;
  Stage stage_ = Stage::kNew;
  // Latches: our entries in the trees, whom we wait for, and who waits for us (LatchManager).
  absl::InlinedVector<Latch, 2> latches_;
  absl::InlinedVector<Admission*, 2> blockers_;
  absl::InlinedVector<Admission*, 2> blocked_;
  // Keys in whose queues we stand, and the one we wait at (LockTable).
  absl::InlinedVector<KeyLocks*, 2> queued_at_;
  KeyLocks* waits_at_ = nullptr;
};

// Requests that may go on, in the order in which they should: the caller wakes each; it calls Sequence again.
using Woken = absl::InlinedVector<Admission*, 8>;

}  // namespace orrery::kv
