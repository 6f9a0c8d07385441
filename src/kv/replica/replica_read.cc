// The short cut of reads by key outside transactions, most requests of most loads: no latch, no queue, nothing made
// that is not in the answer. What it cannot do at once is left to Execute.
#include <algorithm>

#include "kv/replica/replica.h"
#include "orrery/storage/mvcc.h"

namespace orrery::kv {

using runtime::MutexLock;

// Looks the keys up. False: something is in the way, and the response is empty.
bool Replica::GetAll(const BatchRequest& batch, Timestamp ts, Timestamp local_limit, BatchResponse& response) const {
  response.responses.reserve(batch.requests.size());
  storage::MvccReadOptions options;
  options.uncertainty_limit = host_.clock().UncertaintyLimit(ts);
  options.local_limit = local_limit;
  for (const Request& request : batch.requests) {
    auto value = storage::MvccGet(host_.engine(), std::get<GetRequest>(request).key, ts, options);
    if (!value.ok()) {
      response.responses.clear();
      return false;
    }
    auto& get = response.responses.emplace_back().emplace<GetResponse>();
    if (*value) get.value = std::move((*value)->value);
  }
  return true;
}

// What latches are for, without them. The timestamp is chosen here, and under one mutex no write at or below it is
// under way and the read is noted: writes evaluated before are applied, those evaluated later go above it (T7), so what
// the key has at this timestamp does not change while it is looked up. Intents that were there before make MvccGet
// fail, even if they are resolved meanwhile to above the timestamp (T11), and the request goes the whole way. False:
// no answer, and nothing but the note of the read has happened.
bool Replica::ReadAtOnce(const BatchRequest& batch, BatchResponse& response) {
  const BatchHeader& header = batch.header;
  if (!IsPlainRead(batch)) return false;
  if (!HasLeaseAt(host_.mono_clock().MonoNow()) || !host_.clock().Update(header.now).ok()) return false;
  const Timestamp ts = host_.clock().Now();
  if (!IsPromised(ts.wall_ns)) return false;  // B29
  RangeGeneration generation;
  {
    MutexLock lock(mutex_);
    if (retired_ || !descriptor_ || header.generation < descriptor_->generation) return false;
    if (ts <= applied_.gc_threshold) return false;
    generation = descriptor_->generation;
    for (const Request& request : batch.requests) {
      const std::string& key = std::get<GetRequest>(request).key;
      if (!descriptor_->ContainsKey(key)) return false;  // R1
      if (!concurrency_.MayReadAtOnce(key, ts) && !Planted(PlantedBug::kReadsPastLatches)) return false;
    }
    for (const Request& request : batch.requests) reads_.AddRead(SpanRef(std::get<GetRequest>(request).key), ts, {});
  }
  if (!GetAll(batch, ts, ts, response)) return false;
  const MonoTime now = host_.mono_clock().MonoNow();
  bool stands = HasLeaseAt(now);  // T27
  {
    // No latch has kept a split from giving keys away, nor the collector (B52) from its work.
    MutexLock lock(mutex_);
    stands = stands && descriptor_->generation == generation && applied_.gc_threshold < ts;
    if (stands && header.may_borrow != 0) response.loan = Lend(header.gateway, now);
  }
  if (!stands) {
    response.responses.clear();
    return false;
  }
  response.ts = response.now = ts;
  return true;
}

}  // namespace orrery::kv
