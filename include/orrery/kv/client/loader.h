// Loading rows that nobody can address before the load ends (docs/design/bulk_load.md): batches in transactions of
// their own, several at a time.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "orrery/base/kv_block.h"
#include "orrery/kv/client/database.h"

namespace orrery::kv {

// Runs the batch as a SERIALIZABLE transaction of its own, which commits with it: in one phase, without intents,
// if one range holds all of it. Retries it on TxnRetryError. Other errors are those of Txn::RunAndCommit.
Status RunAlone(const runtime::Context& context, Database& db, std::string_view name, Batch& batch);

// Rows on their way to be inserted, in the order of their keys however they came. Not thread-safe.
class LoadedRows {
 public:
  void Append(std::string_view key, std::string_view value);
  size_t bytes() const { return rows_.bytes(); }
  bool empty() const { return rows_.empty(); }
  // Leaves this empty. ConditionFailedError if a key is there twice.
  StatusOr<KvBlock> Take();

 private:
  StatusOr<KvBlock> Sort() const;

  KvBlock rows_;
  std::string last_key_;
  bool ascending_ = true;  // strictly
};

// Writes block after block of rows in tasks of its own: the caller makes the next while the last ones are replicated.
// Not thread-safe.
class Loader {
 public:
  static constexpr size_t kWriters = 2;  // one is near the log while the other makes the next command
  using WriteBlock = std::function<Status(const runtime::Context& context, KvBlock rows)>;
  // At most `writers` tasks call `write` at once. `context` is that of the whole load; its end fails it.
  Loader(const runtime::Context& context, size_t writers, WriteBlock write);
  // Gives up what is not written; waits for what is being written.
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Rows by ascending key, each key once. Waits while enough are on their way. Once a block has failed the answer is the error of
  // the earliest that did, and all have ended.
  Status Write(const runtime::Context& context, KvBlock rows);
  // Waits until everything is written, or has ended after an error. Nothing may be written afterwards.
  Status Finish(const runtime::Context& context);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The rows in a transaction of their own.
Status LoadAlone(const runtime::Context& context, Database& db, std::string_view name, KvBlock rows);

}  // namespace orrery::kv
