// ConnectionTasks: one task for each accepted connection, joined as they end, with a bound on their number.
// Used by the SQL and the HTTP listener. One task owns it.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <string_view>

#include "orrery/runtime/runtime.h"

namespace orrery::server {

class ConnectionTasks {
 public:
  explicit ConnectionTasks(std::string_view name) : name_(name) {}
  ~ConnectionTasks() { JoinAll(); }

  // Starts `body` on a task of its own.
  void Spawn(const runtime::Context& context, std::unique_ptr<runtime::ByteStream> stream,
             std::function<void(const runtime::Context&, runtime::ByteStream&)> body) {
    Reap();
    auto entry = std::make_shared<Entry>();
    entry->task = context.runtime().scheduler().Spawn(
        context, {.name = name_, .stack_bytes = 1 << 20},
        [entry, stream = std::move(stream), body = std::move(body)](const runtime::Context& task_context) mutable {
          body(task_context, *stream);
          stream.reset();
          entry->done.store(true, std::memory_order_release);
        });
    entries_.push_back(std::move(entry));
  }
  size_t count() {
    Reap();
    return entries_.size();
  }
  // Waits for all; their context should have been cancelled or their streams ended.
  void JoinAll() {
    for (auto& entry : entries_) entry->task->Join();
    entries_.clear();
  }

 private:
  struct Entry {
    std::unique_ptr<runtime::Task> task;
    std::atomic<bool> done{false};
  };
  void Reap() {
    entries_.remove_if([](const std::shared_ptr<Entry>& entry) {
      if (!entry->done.load(std::memory_order_acquire)) return false;
      entry->task->Join();
      return true;
    });
  }

  std::string name_;
  std::list<std::shared_ptr<Entry>> entries_;
};

}  // namespace orrery::server
