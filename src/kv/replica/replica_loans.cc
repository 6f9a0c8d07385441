// Reads lent to other replicas while nobody writes (docs/design/read_loans.md).
//
//   leaseholder   lends with an answer ───────────────────► recalls before a write chooses its timestamps, or waits
//   borrower           reads what it has applied by itself ──► gives back: nothing it has answered lies above its clock
#include <algorithm>

#include "kv/replica/replica.h"
#include "orrery/runtime/runtime.h"
#include "orrery/storage/mvcc.h"

namespace orrery::kv {

using runtime::MutexLock;

// ---- The leaseholder's side.

// With a read that was just answered under the lease. As nobody holds a latch, no write is under way: what is applied here is
// all there is to be seen, until the next write, which will take back what is lent (I26).
std::optional<ReadLoan> Replica::Lend(NodeId node, MonoTime now) {
  if (!lends_.load(std::memory_order_relaxed) || loans_.recalling || !concurrency_.idle()) return std::nullopt;
  if (loans_.lent.SinceWrite(now) < host_.limits().lend_after || !descriptor_->FindNode(node)) return std::nullopt;
  // B12: within the lease. B29: at or below what later leaseholders start at, and not far from the present: if this lease
  // moves on purpose, the next one starts above what was lent.
  const MonoTime until = std::min(now + kLoanMax, MonoTime{serving_until_ns_.load(std::memory_order_acquire)});
  const int64_t read_max_ns = std::min(promised_wall_ns_.load(std::memory_order_acquire) - 1,
                                       host_.clock().PhysicalNowNs() + 2 * kLoanMax.count());
  if (until - now < kLoanMin || read_max_ns <= 0) return std::nullopt;
  const Timestamp read_max{read_max_ns, 0};
  loans_.lent.Add(node, until, read_max);
  host_.counters().loans_made.fetch_add(1, std::memory_order_relaxed);
  return ReadLoan{lease_.sequence, applied_.index, read_max, uint64_t((until - now).count())};
}

// Of a write that holds its latches: before it chooses its timestamps.
bool Replica::MustRecall(MonoTime now) {
  loans_.lent.NoteWrite(now);
  return loans_.lent.any() && !Planted(PlantedBug::kForgetsLoans);
}

// T6. For a write that holds its latches, so that nothing is lent meanwhile. OK: all that borrowers have read, or will, is in
// the timestamp cache, and none of them reads any more.
Status Replica::RecallLoans(const runtime::Context& context) {
  LentReads lent;
  {
    MutexLock lock(mutex_);
    while (loans_.recalling) RETURN_IF_ERROR(loans_.recalled_cv.Wait(context, mutex_));
    if (!loans_.lent.any()) return OkStatus();
    loans_.recalling = true;
    lent = loans_.lent;
  }
  Timestamp read_max;
  Status status;
  for (const auto& [node, until] : lent.until()) {
    auto read = RecallFrom(context, node, until, lent.read_max());
    status = read.status();
    if (!status.ok()) break;
    read_max.Forward(*read);
  }
  host_.clock().Forward(read_max);  // as all that is read under our lease is at or below our clock (R6)
  MutexLock lock(mutex_);
  loans_.recalling = false;
  if (status.ok()) {
    if (descriptor_) reads_.AddRead(SpanRef(descriptor_->start, descriptor_->end), read_max, {});
    loans_.lent.Clear();
  }
  loans_.recalled_cv.NotifyAll();
  return status;
}

// The highest timestamp that the node may have read at: its clock's, if it says so, but never above what it was lent. So a clock far
// off does not move ours (T2). Who has let a loan run out is asked as well, while what was lent lies in the future.
StatusOr<Timestamp> Replica::RecallFrom(const runtime::Context& context, NodeId node, MonoTime until, Timestamp read_max) {
  const MonoTime now = host_.mono_clock().MonoNow();
  if (now >= until && read_max <= host_.clock().Peek()) return read_max;
  host_.counters().loans_recalled.fetch_add(1, std::memory_order_relaxed);
  BatchRequest recall;
  recall.header.range = range_;
  recall.header.gateway = host_.node();
  recall.header.now = host_.clock().Peek();
  recall.requests.emplace_back(RecallLoanRequest{});
  const BatchResponse response = host_.Call(context.WithDeadline(std::max(until, now + kLoanMin)), node, recall);
  if (!response.error && !response.now.IsZero()) return std::min(response.now, read_max);
  host_.counters().loans_waited_out.fetch_add(1, std::memory_order_relaxed);
  RETURN_IF_ERROR(context.runtime().scheduler().SleepUntil(context, until));
  return read_max;
}

// ---- The borrower's side.

BatchResponse Replica::GiveBackLoan() {
  BatchResponse response;
  response.responses.emplace_back(EmptyResponse{});
  if (!Planted(PlantedBug::kKeepsLoans)) {
    MutexLock lock(mutex_);
    loans_.borrowed.GiveBack(host_.mono_clock().MonoNow());
    borrowed_until_ns_.store(0, std::memory_order_release);
  }
  // Who has read under the loan has found it valid before this, at a timestamp from before that. (Not under the mutex: the clock
  // may have to write its bound.)
  response.now = host_.clock().Now();
  return response;
}

void Replica::AcceptLoan(const ReadLoan& loan, MonoTime asked_at) {
  MutexLock lock(mutex_);
  if (retired_ || !descriptor_ || !loans_.borrowed.Take(loan, asked_at)) return;
  borrowed_until_ns_.store(loans_.borrowed.until().ns, std::memory_order_release);
}

bool Replica::MayReadLent(const BatchRequest& batch, Timestamp ts, MonoTime now) const {
  if (retired_ || !descriptor_ || batch.header.generation < descriptor_->generation) return false;
  if (ts <= applied_.gc_threshold || !loans_.borrowed.Allows(ts, now, lease_.sequence, applied_.index)) return false;
  return std::all_of(batch.requests.begin(), batch.requests.end(), [this](const Request& request) {
    return descriptor_->ContainsKey(std::get<GetRequest>(request).key);  // R1
  });
}

// The loan is looked at before the read, for what it allows, and after it (as T27 says of a lease): one that was recalled
// meanwhile may have been followed by a write that this read has seen, or missed. What lies in the uncertainty interval (T11)
// and intents are the leaseholder's business.
bool Replica::ReadLent(const BatchRequest& batch, BatchResponse& response) {
  MonoTime now = host_.mono_clock().MonoNow();
  if (now.ns >= borrowed_until_ns_.load(std::memory_order_acquire)) return false;
  if (!host_.clock().Update(batch.header.now).ok()) return false;
  const Timestamp ts = host_.clock().Now();
  {
    MutexLock lock(mutex_);
    if (!MayReadLent(batch, ts, now)) return false;
  }
  if (!GetAll(batch, ts, Timestamp::Max(), response)) return false;
  now = host_.mono_clock().MonoNow();
  {
    MutexLock lock(mutex_);
    if (!MayReadLent(batch, ts, now)) response.responses.clear();
  }
  if (response.responses.empty()) return false;
  response.ts = response.now = ts;
  return true;
}

}  // namespace orrery::kv
