// The short cut of reads by key outside transactions, most requests of most loads: no latch, no queue, nothing made
// that is not in the answer. What it cannot do at once is left to Execute.
#include <algorithm>

#include "kv/replica/replica.h"
#include "orrery/storage/mvcc.h"

namespace orrery::kv {

using runtime::MutexLock;

namespace {

// A read that took longer (its thread was stopped) may have met garbage collection, from which no latch kept it.
constexpr Duration kReadAtOnceMax = 1s;

bool IsPointRead(const Request& request) {
  const auto* get = std::get_if<GetRequest>(&request);
  return get != nullptr && get->lock == LockStrength::kNone;
}

}  // namespace

// What latches are for, without them. The timestamp is chosen here, and under one mutex no write at or below it is
// under way and the read is noted: writes evaluated before are applied, those evaluated later go above it (T7), so what
// the key has at this timestamp does not change while it is looked up. Intents that were there before make MvccGet
// fail, and the request waits for them as ever. False: no answer, and nothing but the note of the read has happened.
bool Replica::ReadAtOnce(const BatchRequest& batch, BatchResponse& response) {
  const BatchHeader& header = batch.header;
  if (header.txn || !header.ts.IsZero() || header.wait != WaitPolicy::kBlock) return false;
  if (!std::all_of(batch.requests.begin(), batch.requests.end(), IsPointRead)) return false;
  const MonoTime begun = host_.mono_clock().MonoNow();
  if (!HasLeaseAt(begun) || !host_.clock().Update(header.now).ok()) return false;
  const Timestamp ts = host_.clock().Now();
  if (promised_wall_ns_.load(std::memory_order_acquire) <= ts.wall_ns) return false;  // B29
  {
    MutexLock lock(mutex_);
    if (retired_ || !descriptor_ || header.generation < descriptor_->generation) return false;
    if (ts <= applied_.gc_threshold) return false;
    for (const Request& request : batch.requests) {
      const std::string& key = std::get<GetRequest>(request).key;
      if (!descriptor_->ContainsKey(key) || !concurrency_.MayReadAtOnce(key, ts)) return false;  // R1
    }
    for (const Request& request : batch.requests) reads_.AddRead(SpanRef(std::get<GetRequest>(request).key), ts, {});
  }
  response.responses.reserve(batch.requests.size());
  for (const Request& request : batch.requests) {
    auto value = storage::MvccGet(host_.engine(), std::get<GetRequest>(request).key, ts, {});
    if (!value.ok()) {
      response.responses.clear();
      return false;
    }
    auto& get = response.responses.emplace_back().emplace<GetResponse>();
    if (*value) get.value = std::move((*value)->value);
  }
  const MonoTime now = host_.mono_clock().MonoNow();
  if (!HasLeaseAt(now) || now - begun > kReadAtOnceMax) {  // T27, B52
    response.responses.clear();
    return false;
  }
  response.ts = response.now = ts;
  return true;
}

}  // namespace orrery::kv
