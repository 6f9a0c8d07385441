// SessionTransaction: where a session stands between BEGIN and COMMIT, and what it holds open. The state
// machine of PostgreSQL's transaction blocks; the effects on KV and catalog are the session's. Not thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status.h"
#include "orrery/kv/client/database.h"
#include "orrery/sql/catalog/catalog.h"
#include "orrery/sql/session/client_session.h"
#include "sql/session/settings.h"

namespace orrery::sql {

struct SessionSavepoint {
  std::string name;
  uint32_t kv = 0;
  size_t catalog_changes = 0;
  std::shared_ptr<const Settings::Savepoint> settings;
};

class SessionTransaction {
 public:
  enum class State : uint8_t {
    kNone,      // no transaction
    kImplicit,  // several statements that commit together without BEGIN
    kBlock,     // after BEGIN
    kFailed,    // a block with an error in it: only its end is accepted (25P02)
  };

  State state() const { return state_; }
  TransactionStatus status() const {
    switch (state_) {
      case State::kBlock: return TransactionStatus::kInBlock;
      case State::kFailed: return TransactionStatus::kFailed;
      default: return TransactionStatus::kIdle;
    }
  }
  bool in_block() const { return state_ == State::kBlock || state_ == State::kFailed; }

  void Begin(kv::IsolationLevel level, bool read, TimestampUs now, State state) {
    state_ = state;
    isolation = level;
    isolation_name = IsolationName(level);
    read_only = read;
    start_time = now;
    statements_run = 0;
  }
  // BEGIN within several statements makes a block of them.
  void BecomeBlock() { state_ = State::kBlock; }
  void BecomeFailed() { state_ = State::kFailed; }
  void Recover() { state_ = State::kBlock; }  // ROLLBACK TO
  void Clear() {
    state_ = State::kNone;
    savepoints.clear();
    written_storages.clear();
    commit_tried = false;
    txn.reset();
    catalog.reset();
  }
  // What is known of a transaction that ends without a successful commit.
  CatalogTxn::End rollback_end() const {
    return commit_tried ? CatalogTxn::End::kUnknown : CatalogTxn::End::kRolledBack;
  }
  // The latest savepoint of that name; −1 if there is none.
  int FindSavepoint(std::string_view name) const {
    for (size_t i = savepoints.size(); i-- > 0;) {
      if (savepoints[i].name == name) return int(i);
    }
    return -1;
  }

  kv::IsolationLevel isolation = kv::IsolationLevel::kReadCommitted;
  std::string_view isolation_name = "read committed";  // as SHOW prints it: READ UNCOMMITTED keeps its name
  bool read_only = false;
  TimestampUs start_time = 0;
  uint64_t statements_run = 0;
  std::vector<SessionSavepoint> savepoints;
  // Storages whose rows the transaction itself has written, noted once it has changed a schema.
  std::vector<DescriptorId> written_storages;
  bool commit_tried = false;
  std::unique_ptr<CatalogTxn> catalog;  // null until a name is looked up
  std::unique_ptr<kv::Txn> txn;         // null until KV is needed

 private:
  State state_ = State::kNone;
};

}  // namespace orrery::sql
