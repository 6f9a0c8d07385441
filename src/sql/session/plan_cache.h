// PlanCache: what compiling a statement text gave, shared by all sessions of a node. Entries are immutable;
// whether one still fits the catalog is asked of CatalogTxn::Use by whoever takes it. Thread-safe.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "orrery/runtime/sync.h"
#include "orrery/sql/binder/bound_statement.h"
#include "orrery/sql/exec/executor.h"
#include "orrery/sql/optimizer/optimizer.h"
#include "orrery/sql/parser/parser.h"

namespace orrery::sql {

// A statement ready to run. Queries and data changes have a plan; COPY, EXPLAIN and DDL keep what the binder
// made of them; the rest (BEGIN, SET, …) is run from the parsed tree.
struct CompiledStatement {
  std::shared_ptr<const ParsedStatement> parsed;  // null: an empty query
  std::string text;
  std::shared_ptr<const BoundStatement> bound;    // COPY, EXPLAIN, DDL
  ExecutablePlanPtr plan;                         // of the statement itself, or of the one inside COPY, EXPLAIN
  std::vector<Type> parameter_types;
  std::vector<ResultColumn> result;
  std::vector<TableUse> uses;
  std::string_view command;
  bool cacheable = false;
  bool is_plan() const { return plan != nullptr && bound == nullptr; }
};
using CompiledStatementPtr = std::shared_ptr<const CompiledStatement>;

class PlanCache {
 public:
  explicit PlanCache(size_t capacity) : capacity_(capacity) {}

  CompiledStatementPtr Find(const PlanKey& key) {
    runtime::MutexLock lock(mutex_);
    auto it = entries_.find(key);
    if (it == entries_.end()) return nullptr;
    order_.splice(order_.begin(), order_, it->second.position);
    return it->second.statement;
  }
  void Insert(const PlanKey& key, CompiledStatementPtr statement) {
    runtime::MutexLock lock(mutex_);
    auto [it, inserted] = entries_.try_emplace(key);
    it->second.statement = std::move(statement);
    if (!inserted) return;
    order_.push_front(key);
    it->second.position = order_.begin();
    if (entries_.size() <= capacity_) return;
    entries_.erase(order_.back());
    order_.pop_back();
  }
  void Clear() {
    runtime::MutexLock lock(mutex_);
    entries_.clear();
    order_.clear();
  }

 private:
  struct Entry {
    CompiledStatementPtr statement;
    std::list<PlanKey>::iterator position;
  };
  const size_t capacity_;
  runtime::Mutex mutex_{"plan_cache"};
  absl::flat_hash_map<PlanKey, Entry> entries_;  // looked up only
  std::list<PlanKey> order_;                     // the latest used first
};

}  // namespace orrery::sql
