// ThreadsRuntime: the production Runtime. Tasks are pooled OS threads, files are POSIX files, byte streams are
// sockets and messages between nodes travel over gRPC streams. Thread-safe. Owned by main(); destroyed after
// every task has been joined.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "orrery/runtime/runtime.h"

namespace orrery::runtime {

struct ThreadsRuntimeOptions {
  size_t stack_bytes = 1 << 20;           // of a task that asks for less; address space, not memory
  size_t idle_threads_max = 64;           // more than these end when their task ends
  size_t call_tasks_max = 4096;           // calls of peers handled at once; beyond: Unavailable to the caller
  size_t peer_queue_bytes_max = 64 << 20; // unsent bytes for one peer; beyond: messages drop, calls Unavailable
  size_t message_bytes_max = 64 << 20;    // of one request, response or message
  Duration reconnect_backoff_min = 50ms;
  Duration reconnect_backoff_max = 1s;
  std::optional<uint64_t> random_seed;    // default: from the system
};

class ThreadsRuntime : public Runtime {
 public:
  static std::unique_ptr<ThreadsRuntime> Create(ThreadsRuntimeOptions options = {});
};

}  // namespace orrery::runtime
