// Loader: blocks written by tasks of its own, on real threads.
#include "orrery/kv/client/loader.h"

#include <gtest/gtest.h>

#include <atomic>

#include "orrery/runtime/sync.h"
#include "orrery/runtime/threads_runtime.h"

namespace orrery::kv {
namespace {

KvBlock BlockOf(const std::string& key) {
  KvBlock block;
  block.Append(key, "v");
  return block;
}

class LoaderTest : public ::testing::Test {
 protected:
  std::unique_ptr<runtime::ThreadsRuntime> runtime_ = runtime::ThreadsRuntime::Create();
  runtime::Context context_{*runtime_};
};

TEST_F(LoaderTest, EverythingIsWrittenByTheEnd) {
  for (size_t writers : {size_t{1}, size_t{2}}) {
    std::atomic<int> written{0};
    std::atomic<int> at_once{0};
    Loader loader(context_, writers, [&](const runtime::Context&, KvBlock rows) {
      EXPECT_LE(++at_once, int(writers));
      written += int(rows.count());
      --at_once;
      return OkStatus();
    });
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(loader.Write(context_, BlockOf(std::to_string(i))).ok());
    ASSERT_TRUE(loader.Finish(context_).ok());
    EXPECT_EQ(written, 100);
  }
}

TEST_F(LoaderTest, TheFirstErrorEndsIt) {
  std::atomic<int> calls{0};
  Loader loader(context_, 2, [&](const runtime::Context&, KvBlock rows) {
    ++calls;
    auto row = rows.Begin();
    row.Next();
    return row.key() == "bad" ? InvalidArgumentError("bad block") : OkStatus();
  });
  Status status = loader.Write(context_, BlockOf("bad"));
  for (int i = 0; i < 1000 && status.ok(); ++i) status = loader.Write(context_, BlockOf("good"));
  EXPECT_EQ(status.message(), "bad block");
  EXPECT_EQ(loader.Finish(context_).message(), "bad block");
  EXPECT_LT(calls, 1000);
}

// Found by the blocks of one transaction: that the second fails may be the first one's doing, and what the client hears of must not
// depend on who was quicker.
TEST_F(LoaderTest, OfSeveralErrorsTheEarliestBlocksCounts) {
  runtime::OneShot<int> later_has_failed;
  Loader loader(context_, 2, [&](const runtime::Context& context, KvBlock rows) {
    auto row = rows.Begin();
    row.Next();
    if (row.key() == "later") {
      later_has_failed.Set(1);
      return InvalidArgumentError("later");
    }
    EXPECT_TRUE(later_has_failed.Take(context).ok());
    return InvalidArgumentError("earlier");
  });
  Status status = loader.Write(context_, BlockOf("earlier"));
  if (status.ok()) status = loader.Write(context_, BlockOf("later"));
  if (status.ok()) status = loader.Finish(context_);
  EXPECT_EQ(status.message(), "earlier");
  EXPECT_EQ(loader.Write(context_, BlockOf("more")).message(), "earlier");
  EXPECT_EQ(loader.Finish(context_).message(), "earlier");
}

// The caller does not run ahead of the writers by more than what waits, and can be cancelled while it waits for them.
TEST_F(LoaderTest, ACallerThatWaitsCanBeCancelled) {
  runtime::OneShot<int> never;
  Loader loader(context_, 1, [&](const runtime::Context& context, KvBlock) { return never.Take(context).status(); });
  const auto cancellable = context_.WithCancel();
  ASSERT_TRUE(loader.Write(cancellable.context, BlockOf("written")).ok());
  std::atomic<int> taken{0};
  auto caller = runtime_->scheduler().Spawn(cancellable.context, {.name = "caller"}, [&](const runtime::Context& context) {
    while (loader.Write(context, BlockOf("waits")).ok()) ++taken;
  });
  cancellable.Cancel();
  caller->Join();
  EXPECT_LE(taken, 2);
  EXPECT_EQ(loader.Finish(cancellable.context).code(), Code::kCancelled);
}

// Dropped in the middle, it ends its writers and nothing hangs.
TEST_F(LoaderTest, ItCanBeDroppedAtAnyTime) {
  runtime::OneShot<int> never;
  Loader loader(context_, 2, [&](const runtime::Context& context, KvBlock) { return never.Take(context).status(); });
  ASSERT_TRUE(loader.Write(context_, BlockOf("a")).ok());
  ASSERT_TRUE(loader.Write(context_, BlockOf("b")).ok());
}

}  // namespace
}  // namespace orrery::kv
