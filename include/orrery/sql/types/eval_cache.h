// EvalCache: what evaluating the same expression over many rows should do once: compiling patterns,
// finding zones. Owned by one executor task; not thread-safe. Bounded: the least recently made
// entries go first.
#pragma once

#include <memory>
#include <string_view>

namespace orrery::sql {

class EvalCache {
 public:
  EvalCache();
  ~EvalCache();
  EvalCache(const EvalCache&) = delete;
  EvalCache& operator=(const EvalCache&) = delete;

  struct Rep;
  Rep& rep() { return *rep_; }

 private:
  std::unique_ptr<Rep> rep_;
};

}  // namespace orrery::sql
