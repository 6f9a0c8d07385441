// How a TxnCoordinator uses its write buffer: which batches wait in it, which make it go out early.
#include <algorithm>

#include "kv/client/routing.h"
#include "kv/client/txn_coordinator.h"

namespace orrery::kv {
namespace {

constexpr size_t kBufferedAtOnceMax = 32;  // requests of a batch; larger ones are sent as they are

struct Written {
  std::string_view key;
  std::optional<std::string_view> value;  // none: deleted
};
Written WrittenBy(const Request& request) {
  if (const auto* put = std::get_if<PutRequest>(&request)) return {put->key, put->value};
  if (const auto* cput = std::get_if<ConditionalPutRequest>(&request)) return {cput->key, cput->written()};
  return {std::get<DeleteRequest>(request).key, std::nullopt};
}

}  // namespace

// The value of a key read under an exclusive lock: from now on a write of it may wait for the commit.
void TxnCoordinator::NoteHeld(const Batch& batch) {
  for (size_t i = 0; i < batch.requests.size() && i < batch.responses.size(); ++i) {
    const auto* get = std::get_if<GetRequest>(&batch.requests[i]);
    if (!get || get->lock != LockStrength::kExclusive) continue;
    if (const auto* answer = std::get_if<GetResponse>(&batch.responses[i])) buffer_.NoteHeld(get->key, answer->value);
  }
}

StatusOr<TxnCoordinator::Buffered> TxnCoordinator::RunBuffered(const runtime::Context& context, Batch& batch) {
  if (AnswerOwnWrite(batch)) return Buffered::kDone;
  if (!left_locks_ && FitsBuffer(batch)) {
    ASSIGN_OR_RETURN(const Buffered done, BufferWrites(context, batch));
    if (done == Buffered::kDone) return done;
  }
  if (!buffer_.has_unsent()) return Buffered::kSend;
  // Reads of other keys pass by what waits; all else must find it where it belongs.
  const bool apart = std::all_of(batch.requests.begin(), batch.requests.end(), [&](const Request& request) {
    const auto* get = std::get_if<GetRequest>(&request);
    const auto* scan = std::get_if<ScanRequest>(&request);
    if (get) return buffer_.Unsent(get->key) == nullptr;
    return scan && !buffer_.OverlapsUnsent(scan->span);
  });
  if (!apart) RETURN_IF_ERROR(Flush(context));
  return Buffered::kSend;
}

// A read of one key that this transaction has written: nobody else needs to be asked.
bool TxnCoordinator::AnswerOwnWrite(Batch& batch) const {
  const auto* get = batch.requests.size() == 1 ? std::get_if<GetRequest>(&batch.requests[0]) : nullptr;
  if (!get || (get->lock != LockStrength::kNone && get->durability == LockDurability::kReplicated)) return false;
  const std::optional<std::string>* own = buffer_.Unsent(get->key);
  if (!own) return false;
  batch.responses.emplace_back(GetResponse{.value = *own});
  return true;
}

// Few writes, each conditional or of a key that is held; and the buffer has room.
bool TxnCoordinator::FitsBuffer(const Batch& batch) const {
  if (batch.requests.size() > kBufferedAtOnceMax) return false;
  size_t bytes = 0;
  for (const Request& request : batch.requests) {
    if (const auto* put = std::get_if<PutRequest>(&request)) {
      if (!buffer_.Holds(put->key)) return false;
      bytes += put->value.size();
    } else if (const auto* cput = std::get_if<ConditionalPutRequest>(&request)) {
      bytes += cput->key.size() + cput->value.size() + (cput->expected ? cput->expected->size() : 0);
    } else if (const auto* del = std::get_if<DeleteRequest>(&request); !del || !buffer_.Holds(del->key)) {
      return false;
    }
  }
  return buffer_.HasRoom(batch.requests.size(), bytes);
}

// The condition of a conditional put is judged now, under a lock that holds until the commit.
StatusOr<TxnCoordinator::Buffered> TxnCoordinator::BufferWrites(const runtime::Context& context, Batch& batch) {
  Batch locks;
  Batch fresh;  // as if they were locked: nobody else can want them
  locks.wait = batch.wait;
  for (const Request& request : batch.requests) {
    const auto* cput = std::get_if<ConditionalPutRequest>(&request);
    if (!cput || buffer_.Holds(cput->key)) continue;
    const bool is_fresh = batch.inserted_keys == InsertedKeys::kFresh && !cput->expected;
    (is_fresh ? fresh : locks).Get(cput->key, LockStrength::kExclusive);
  }
  if (!locks.requests.empty()) RETURN_IF_ERROR(Send(context, locks));
  if (!fresh.requests.empty()) {
    TrackLocks(fresh);
    fresh.responses.assign(fresh.requests.size(), GetResponse{});
    NoteHeld(fresh);
  }
  const uint32_t before = last_sequence_;
  for (size_t i = 0; i < batch.requests.size(); ++i) {
    const auto* cput = std::get_if<ConditionalPutRequest>(&batch.requests[i]);
    const auto [key, value] = WrittenBy(batch.requests[i]);
    if (!buffer_.Holds(key)) {  // its value was too large to keep
      buffer_.RollbackTo(before);
      return Buffered::kSend;
    }
    if (cput) {
      std::optional<std::string> actual = buffer_.Seen(key);
      if (actual != cput->expected) {
        buffer_.RollbackTo(before);
        KvError error;
        error.detail = ConditionFailedError{std::string(key), std::move(actual)};
        error.request_index = uint32_t(i);
        return ToStatus(error);
      }
    }
    buffer_.Put(key, value, ++last_sequence_);
  }
  batch.responses.assign(batch.requests.size(), EmptyResponse{});
  return Buffered::kDone;
}

// A condition that fails at the end says that the lock was lost with its lease and somebody else wrote (B44).
Status TxnCoordinator::LostLock(const Status& error) const {
  if (!GetError<ConditionFailedError>(error)) return error;
  KvError lost;
  lost.detail = TxnRetryError{RetryReason::kWriteTooOld, txn().meta.id, txn().meta.write_ts.Next(),
                              "a lock was lost when its range changed hands"};
  return ToStatus(lost);
}

// What waits, as requests.
void TxnCoordinator::AppendBuffered(std::vector<Request>& out) const {
  buffer_.AppendRequests(out);
  if (!Planted(PlantedBug::kPlainBufferedPuts)) return;
  for (Request& request : out) {
    auto* cput = std::get_if<ConditionalPutRequest>(&request);
    if (!cput) continue;
    if (cput->deletes != 0) {
      request = DeleteRequest{std::string(cput->key)};
    } else {
      request = PutRequest{std::string(cput->key), std::string(cput->value)};
    }
  }
}

// Sends what waits, as intents. Nothing is buffered from then on.
Status TxnCoordinator::Flush(const runtime::Context& context) {
  Batch batch;
  AppendBuffered(batch.requests);
  const Status status = Send(context, batch);
  if (!status.ok()) return LostLock(status);
  buffer_.MarkSent(last_sequence_);
  return OkStatus();
}

}  // namespace orrery::kv
