#include "orrery/kv/concurrency/concurrency_manager.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <random>

namespace orrery::kv {
namespace {

struct TestRequest : Admission {
  using Admission::Admission;
  int number = 0;
};

// Ten keys in their order, some alike for as many bytes as latches compare at once, or for longer.
std::string KeyOf(uint64_t n) {
  const std::string head(16, 'a');
  const std::string keys[] = {"a", head.substr(1), head, head + '\0', head + std::string("\0b", 2), head + 'b', head + "bb",
                              "aaaaaaaab", "b", "c"};
  return keys[n % 10];
}

// The rule, written down once more without any cleverness.
bool NaiveConflict(const LatchSpan& a, const LatchSpan& b) {
  const auto end = [](const SpanRef& s) { return s.is_point() ? std::string(s.start) + '\0' : std::string(s.end); };
  const bool overlap = std::string(a.span.start) < end(b.span) && std::string(b.span.start) < end(a.span);
  if (!overlap || (a.access == Access::kRead && b.access == Access::kRead)) return false;
  if (a.access == b.access || a.ts.IsZero() || b.ts.IsZero()) return true;
  const Timestamp read = a.access == Access::kRead ? a.ts : b.ts;
  const Timestamp write = a.access == Access::kRead ? b.ts : a.ts;
  return write <= read;
}

bool NaiveConflict(const TestRequest& a, const TestRequest& b) {
  for (const auto& x : a.spec().latches) {
    for (const auto& y : b.spec().latches) {
      if (NaiveConflict(x, y)) return true;
    }
  }
  return false;
}

// Against a naive model: a request is granted exactly when no conflicting request that came before is left.
TEST(LatchPropertyTest, AgreesWithNaive) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    ConcurrencyManager manager;
    struct Live {
      std::unique_ptr<std::vector<std::string>> keys;
      std::unique_ptr<TestRequest> request;
      bool granted;
    };
    std::vector<Live> live;  // in order of arrival
    const auto check = [&](const Woken& woken) {
      for (Admission* w : woken) {
        for (auto& l : live) {
          if (l.request.get() != w) continue;
          Woken none;
          ASSERT_EQ(manager.Sequence(*w, none).kind, Outcome::Kind::kProceed);
          l.granted = true;
        }
      }
      for (size_t i = 0; i < live.size(); ++i) {
        bool free = true;
        for (size_t j = 0; j < i; ++j) free &= !NaiveConflict(*live[i].request, *live[j].request);
        ASSERT_EQ(live[i].granted, free) << "seed " << seed << " request " << live[i].request->number;
      }
      const std::string key = KeyOf(random());
      const LatchSpan read{SpanRef(key), Access::kRead, {1 + int64_t(random() % 4), 0}};
      bool at_once = true;
      for (const auto& l : live) {
        for (const LatchSpan& latch : l.request->spec().latches) at_once &= !NaiveConflict(read, latch);
      }
      ASSERT_EQ(manager.MayReadAtOnce(key, read.ts), at_once) << "seed " << seed;
    };
    for (int step = 0; step < 400; ++step) {
      Woken woken;
      if (live.size() < 12 && random() % 2 == 0) {
        Live l{std::make_unique<std::vector<std::string>>(), nullptr, false};
        AdmissionSpec spec;
        const int count = 1 + int(random() % 3);
        l.keys->reserve(2 * count);
        for (int i = 0; i < count; ++i) {
          LatchSpan latch;
          const uint64_t at = random() % 10;
          l.keys->push_back(KeyOf(at));
          latch.span.start = l.keys->back();
          if (random() % 3 == 0 && at < 9) {
            l.keys->push_back(KeyOf(at + 1 + random() % (9 - at)));
            latch.span.end = l.keys->back();
          }
          latch.access = random() % 2 ? Access::kWrite : Access::kRead;
          latch.ts = {int64_t(random() % 4), 0};
          spec.latches.push_back(latch);
        }
        l.request = std::make_unique<TestRequest>(spec);
        l.request->number = step;
        l.granted = manager.Sequence(*l.request, woken).kind == Outcome::Kind::kProceed;
        live.push_back(std::move(l));
      } else if (!live.empty()) {
        const size_t i = random() % live.size();  // also one that waits: cancelled
        manager.Finish(*live[i].request, woken);
        live.erase(live.begin() + i);
      }
      check(woken);
      if (HasFatalFailure()) return;
    }
  }
}

// Lockers of one key are served in the order in which they came, one at a time, and only that one is woken.
TEST(LockQueuePropertyTest, FifoAndOneAtATime) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    std::mt19937_64 random(seed);
    ConcurrencyManager manager;
    const std::string key = "k";
    struct Waiting {
      std::unique_ptr<TxnMeta> txn;
      std::unique_ptr<TestRequest> request;
    };
    std::deque<Waiting> waiting;
    TxnMeta holder{.id = "holder", .anchor_key = key};
    manager.OnLockAcquired(holder, key, LockStrength::kExclusive, LockDurability::kUnreplicated);
    int arrivals = 0;
    for (int step = 0; step < 200; ++step) {
      if (waiting.size() < 8 && random() % 2 == 0) {
        Waiting& w = waiting.emplace_back();
        w.txn = std::make_unique<TxnMeta>(TxnMeta{.id = "t" + std::to_string(arrivals++), .anchor_key = key});
        AdmissionSpec spec{.txn = w.txn.get()};
        spec.latches.push_back({key, Access::kWrite, {10, 0}});
        spec.locks.push_back({key, LockStrength::kIntent});
        w.request = std::make_unique<TestRequest>(spec);
        Woken woken;
        ASSERT_EQ(manager.Sequence(*w.request, woken).kind, Outcome::Kind::kWaitLock);
        ASSERT_TRUE(woken.empty());
      } else if (!waiting.empty() && random() % 4 == 0) {  // a waiter gives up
        Woken woken;
        const size_t i = random() % waiting.size();
        manager.Finish(*waiting[i].request, woken);
        ASSERT_TRUE(woken.empty());
        waiting.erase(waiting.begin() + i);
      } else {  // the holder commits; the first in the queue becomes the holder
        Woken woken;
        manager.OnLockUpdated(holder, TxnStatus::kCommitted, SpanRef(key), woken);
        if (waiting.empty()) {
          ASSERT_TRUE(woken.empty());
          manager.OnLockAcquired(holder, key, LockStrength::kExclusive, LockDurability::kUnreplicated);
          continue;
        }
        ASSERT_EQ(woken.size(), 1u);
        ASSERT_EQ(woken[0], waiting.front().request.get());
        ASSERT_EQ(manager.Sequence(*woken[0], woken).kind, Outcome::Kind::kProceed);
        holder = *waiting.front().txn;
        manager.OnLockAcquired(holder, key, LockStrength::kIntent, LockDurability::kReplicated);
        Woken after;
        manager.Finish(*waiting.front().request, after);
        ASSERT_TRUE(after.empty());
        waiting.pop_front();
      }
      for (const Waiting& w : waiting) {
        auto target = manager.PushTarget(*w.request);
        ASSERT_TRUE(target.has_value());
        ASSERT_EQ(target->holder.id, holder.id) << "everyone pushes who really holds the key";
      }
    }
  }
}

}  // namespace
}  // namespace orrery::kv
