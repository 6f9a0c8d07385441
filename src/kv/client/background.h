// Background: what a node's transactions leave to be done beside them: heartbeats of those that live long, and
// resolving the locks of those that ended. Thread-safe.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "orrery/kv/client/kv_client.h"

namespace orrery::kv {

// One transaction's heartbeat, shared by its coordinator and the task that sends it.
struct Heartbeat {
  explicit Heartbeat(Transaction t, MonoTime n) : txn(std::move(t)), next(n) {}
  runtime::Mutex mutex{"txn.heartbeat"};
  Transaction txn ABSL_GUARDED_BY(mutex);
  MonoTime next ABSL_GUARDED_BY(mutex);
  bool aborted ABSL_GUARDED_BY(mutex) = false;
  size_t slot = 0;  // in Background's list, guarded by its mutex
};

// A transaction that has ended: `status` final.
struct CleanUp {
  Transaction txn;
  TxnStatus status = TxnStatus::kAborted;
  std::vector<Span> locks;
};

class Background {
 public:
  Background(const KvClientOptions& options, DistSender& sender, runtime::Runtime& runtime);
  ~Background();

  void Start(const runtime::Context& context);
  void Stop();

  // The transaction took its first lock. Heartbeats begin once it is older than the interval.
  std::shared_ptr<Heartbeat> Register(const Transaction& txn);
  void Unregister(const std::shared_ptr<Heartbeat>& heartbeat);

  // Ends an aborted transaction's record and resolves its locks; soon, by a task of ours, or at once by the
  // caller when the queue is full or nothing is started.
  void Enqueue(const runtime::Context& context, CleanUp work);
  void Enqueue(CleanUp work);  // where there is no context: dropped when nothing is started (T22 cleans up)

 private:
  Status RunCleaner(const runtime::Context& context);
  Status RunHeartbeats(const runtime::Context& context);
  void Beat(const runtime::Context& context, Heartbeat& heartbeat);
  void Clean(const runtime::Context& context, std::vector<CleanUp> work);
  bool TryEnqueue(CleanUp& work);

  const KvClientOptions options_;
  DistSender& sender_;
  runtime::Runtime& runtime_;
  std::unique_ptr<runtime::TaskGroup> tasks_;
  runtime::Mutex mutex_{"kv_client.background"};
  runtime::CondVar not_empty_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<CleanUp> queue_ ABSL_GUARDED_BY(mutex_);
  runtime::Mutex beats_mutex_{"kv_client.heartbeats"};
  std::vector<std::shared_ptr<Heartbeat>> beats_ ABSL_GUARDED_BY(beats_mutex_);
};

}  // namespace orrery::kv
