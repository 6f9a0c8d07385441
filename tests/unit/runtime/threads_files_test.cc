#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "orrery/runtime/threads_runtime.h"

namespace orrery::runtime {
namespace {

class PosixFiles : public ::testing::Test {
 protected:
  PosixFiles() {
    char pattern[] = "/tmp/orrery_files_XXXXXX";
    folder_ = ::mkdtemp(pattern);
  }
  ~PosixFiles() override { (void)!std::system(("rm -rf " + folder_).c_str()); }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  std::string folder_;
  std::unique_ptr<ThreadsRuntime> runtime_ = ThreadsRuntime::Create();
  FileSystem& files_ = runtime_->file_system();
};

TEST_F(PosixFiles, AtomicWriteReplacesAndLeavesNothingBehind) {
  ASSERT_TRUE(files_.CreateFolder(Path("a/b")).ok());
  ASSERT_TRUE(files_.CreateFolder(Path("a/b")).ok());
  ASSERT_TRUE(files_.WriteFileAtomic(Path("a/b/f"), "one").ok());
  ASSERT_TRUE(files_.WriteFileAtomic(Path("a/b/f"), std::string(100'000, 'x')).ok());
  EXPECT_EQ(*files_.ReadFile(Path("a/b/f")), std::string(100'000, 'x'));
  EXPECT_EQ(*files_.List(Path("a/b")), std::vector<std::string>{"f"});
  EXPECT_TRUE(*files_.Exists(Path("a")));
  ASSERT_TRUE(files_.Remove(Path("a/b/f")).ok());
  ASSERT_TRUE(files_.Remove(Path("a/b/f")).ok());
  EXPECT_FALSE(*files_.Exists(Path("a/b/f")));
  EXPECT_EQ(files_.ReadFile(Path("a/b/f")).status().code(), Code::kNotFound);
}

TEST_F(PosixFiles, WritesAtOffsets) {
  ASSERT_TRUE(files_.WriteAtSync(Path("slots"), 4, "beta").ok());
  ASSERT_TRUE(files_.WriteAtSync(Path("slots"), 0, "alfa").ok());
  EXPECT_EQ(*files_.ReadFile(Path("slots")), "alfabeta");
}

TEST_F(PosixFiles, LockIsExclusiveUntilDroppedAndNamesItsHolder) {
  auto lock = files_.Lock(Path("LOCK"));
  ASSERT_TRUE(lock.ok());
  const auto second = files_.Lock(Path("LOCK"));
  EXPECT_EQ(second.status().code(), Code::kFailedPrecondition);
  EXPECT_NE(second.status().message().find("pid " + std::to_string(::getpid())), std::string_view::npos);
  lock->reset();
  EXPECT_TRUE(files_.Lock(Path("LOCK")).ok());
}

TEST_F(PosixFiles, ErrorsNameThePath) {
  const Status status = files_.WriteFileAtomic(Path("missing/f"), "x");
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("missing/f"), std::string_view::npos);
  ASSERT_TRUE(files_.WriteFileAtomic(Path("plain"), "x").ok());
  EXPECT_FALSE(files_.CreateFolder(Path("plain/sub")).ok());
}

}  // namespace
}  // namespace orrery::runtime
