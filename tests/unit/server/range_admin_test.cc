#include "server/range_admin.h"

#include <gtest/gtest.h>

#include <set>

#include "orrery/base/hash.h"
#include "orrery/kv/api/batch.h"
#include "orrery/runtime/sync.h"
#include "orrery/runtime/threads_runtime.h"

namespace orrery::server {
namespace {

TEST(RangeAdmin, KeysAreReadAsTheyArePrinted) {
  const std::string key("\x10k\0\\ \xFF\xFE", 7);
  EXPECT_EQ(*KeyFromPrintable(Printable(key)), key);
  EXPECT_EQ(*KeyFromPrintable("a\\x5C"), "a\\");
  for (const char* bad : {"\\", "\\x", "\\x1", "a\\y12", "\\xg0", "\\x0g"}) {
    EXPECT_EQ(KeyFromPrintable(bad).status().code(), Code::kInvalidArgument) << bad;
  }
}

// Refuses each key once, as if another change of its range were under way.
class Splitter final : public kv::Sender {
 public:
  kv::BatchResponse Send(const runtime::Context&, const kv::BatchRequest& request) override {
    const auto& split = std::get<kv::AdminSplitRequest>(request.requests.at(0));
    kv::BatchResponse response;
    runtime::MutexLock lock(mutex_);
    if (split.split_key == broken) {
      response.error = kv::FromStatus(InternalError("broken"));
    } else if (refused_.insert(split.split_key).second) {
      response.error = kv::FromStatus(AbortedError("another change of the range is under way"));
    } else {
      ++splits[split.split_key];
    }
    return response;
  }
  std::map<std::string, int> splits;
  std::string broken;

 private:
  runtime::Mutex mutex_{"splitter"};
  std::set<std::string> refused_;
};

TEST(RangeAdmin, EveryKeyIsSplitOnce) {
  auto runtime = runtime::ThreadsRuntime::Create({});
  const runtime::Context context(*runtime);
  Splitter splitter;
  std::vector<std::string> keys;
  for (int i = 0; i < 50; ++i) keys.push_back("\x10" + std::to_string(i));
  keys.push_back(keys.front());
  ASSERT_TRUE(SplitRangesAt(context, splitter, keys).ok());
  EXPECT_EQ(splitter.splits.size(), 50u);
  for (const auto& [key, times] : splitter.splits) EXPECT_EQ(times, 1) << key;

  splitter.broken = "\x10zz";
  EXPECT_EQ(SplitRangesAt(context, splitter, {"\x10zz"}).code(), Code::kInternal);
  EXPECT_EQ(SplitRangesAt(context, splitter, {"\x02meta"}).code(), Code::kInvalidArgument);
  EXPECT_TRUE(SplitRangesAt(context, splitter, {}).ok());
  runtime->transport().Stop();
}

}  // namespace
}  // namespace orrery::server
