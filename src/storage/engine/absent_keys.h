// AbsentKeys: gaps between the user keys of kMvcc, so that looking for a key that nobody has written yet costs no search
// through the levels of a store. Tables that only grow at their end (hidden row ids, identity columns, times) look for such
// a key with every row they insert.
//
// A gap is an interval of encoded user keys in which the store had none, and the keys that were written into it since.
// Invariant: a key that is in a gap and not among the written ones has no version, and no write of it has begun.
// Thread safety: all methods by many tasks at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_set.h"
#include "orrery/runtime/sync.h"
#include "storage/engine/mvcc_ops.h"

namespace orrery::storage {

class AbsentKeys {
 public:
  // Whether `prefix`, a whole encoded user key, is known to have no version.
  bool Knows(std::string_view prefix);

  // A seek found nothing at `prefix`. A ticket if the gap around it is wanted, which then must be looked for, after this
  // call, and told with EndLearning; 0: it is not.
  uint64_t BeginLearning(std::string_view prefix);
  // The user keys before and behind that prefix as the store has them (nullopt: there is none); empty gap: a failure.
  struct Gap {
    std::optional<std::string> before;
    std::optional<std::string> behind;
  };
  void EndLearning(uint64_t ticket, std::optional<Gap> gap);

  // Around each write of the engine that touches kMvcc.
  void BeginWrite(const MvccOps& ops);
  void EndWrite();

  uint64_t answers() const;

 private:
  static constexpr size_t kGapsMax = 4;
  static constexpr size_t kWrittenMax = 512;    // of one gap; the lower half is given up then
  static constexpr size_t kKeyBytesMax = 256;   // longer keys end what is known
  static constexpr uint64_t kMissesALook = 8;   // two seeks are spent on every eighth miss, not more

  using Keys = absl::btree_set<std::string, std::less<>>;
  struct Interval {
    std::string lower;                 // a key of `written`, or the smallest of all
    std::optional<std::string> upper;  // no key of the gap; nullopt: to the end
    Keys written;
    bool Holds(std::string_view prefix) const { return lower <= prefix && (!upper || prefix < *upper); }
  };

  static bool Add(Interval& gap, std::string_view prefix);

  mutable runtime::Mutex mutex_{"absent_keys"};
  std::vector<Interval> gaps_ ABSL_GUARDED_BY(mutex_);      // the last one of use first
  std::optional<Interval> learning_ ABSL_GUARDED_BY(mutex_);  // everything, until its bounds are known
  std::string sought_ ABSL_GUARDED_BY(mutex_);              // what is being learned around
  uint64_t ticket_ ABSL_GUARDED_BY(mutex_) = 0;             // of what is being learned, or was last
  uint64_t writers_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t misses_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t answers_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace orrery::storage
