// RemoteCalls: which calls end early, and who is woken by the news of a lease.
#include "kv/client/remote_calls.h"

#include <gtest/gtest.h>

#include "unit/kv_client/mini_server.h"

namespace orrery::kv {
namespace {

using Repeat = RemoteCalls::Repeat;

class RemoteCallsTest : public ::testing::Test {
 protected:
  void Review(int times, Duration silence = Duration(0)) {
    for (int i = 0; i < times; ++i) calls_.Review([&](NodeId node) { return node == NodeId(2) ? silence : Duration(0); });
  }
  InlineRuntime runtime_;
  runtime::Context context_{runtime_};
  RemoteCalls calls_;
};

TEST_F(RemoteCallsTest, ACallEndsAWhileAfterItsRangeHasBeenServedElsewhere) {
  const RemoteCalls::Call stale(calls_, context_, NodeId(2), RangeId(7), Repeat::kUnsafe);
  const RemoteCalls::Call served(calls_, context_, NodeId(3), RangeId(7), Repeat::kUnsafe);
  const RemoteCalls::Call other(calls_, context_, NodeId(2), RangeId(8), Repeat::kSafe);
  Review(100);
  calls_.TellLease(RangeId(7), NodeId(3));
  Review(2);
  EXPECT_FALSE(stale.context().cancelled());
  Review(1);
  EXPECT_TRUE(stale.context().cancelled());
  EXPECT_FALSE(served.context().cancelled());
  EXPECT_FALSE(other.context().cancelled());
  EXPECT_FALSE(context_.cancelled());
}

TEST_F(RemoteCallsTest, ALeaseThatComesBackIsWaitedFor) {
  const RemoteCalls::Call call(calls_, context_, NodeId(2), RangeId(7), Repeat::kUnsafe);
  calls_.TellLease(RangeId(7), NodeId(3));
  Review(2);
  calls_.TellLease(RangeId(7), NodeId(2));
  Review(10);
  EXPECT_FALSE(call.context().cancelled());
}

TEST_F(RemoteCallsTest, SilenceEndsFirstWhatCanBeRepeated) {
  const RemoteCalls::Call safe(calls_, context_, NodeId(2), RangeId(7), Repeat::kSafe);
  const RemoteCalls::Call commit(calls_, context_, NodeId(2), RangeId(7), Repeat::kUnsafe);
  const RemoteCalls::Call elsewhere(calls_, context_, NodeId(3), RangeId(7), Repeat::kSafe);
  Review(1, kSilenceMax);
  EXPECT_FALSE(safe.context().cancelled());
  Review(1, kSilenceMax + 1ms);
  EXPECT_TRUE(safe.context().cancelled());
  EXPECT_FALSE(commit.context().cancelled());
  Review(1, 2501ms);
  EXPECT_TRUE(commit.context().cancelled());
  EXPECT_FALSE(elsewhere.context().cancelled());
}

TEST_F(RemoteCallsTest, WhoAwaitsALeaseWaitsNoLongerThanItsPatience) {
  const MonoTime begin = runtime_.clock().MonoNow();
  EXPECT_TRUE(calls_.AwaitLease(context_, RangeId(7), 250ms).ok());
  EXPECT_EQ(runtime_.clock().MonoNow() - begin, Duration(250ms));
  const auto over = context_.WithTimeout(100ms);
  EXPECT_EQ(calls_.AwaitLease(over, RangeId(7), 250ms).code(), Code::kDeadlineExceeded);
}

}  // namespace
}  // namespace orrery::kv
