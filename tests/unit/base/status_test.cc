#include "orrery/base/status.h"

#include <gtest/gtest.h>

#include "orrery/base/status_or.h"

namespace orrery {
namespace {

struct Conflict : ErrorPayload {
  explicit Conflict(int k) : key(k) {}
  std::string DebugString() const override { return "key " + std::to_string(key); }
  int key;
};

TEST(Status, CarriesCodeStateFieldsAndPayload) {
  const Status s = Status(Code::kAlreadyExists, "23505", "duplicate key")
                       .WithDetail("Key (a)=(1) already exists.")
                       .WithPayload(std::make_shared<Conflict>(7));
  EXPECT_EQ(s.sqlstate(), "23505");
  EXPECT_EQ(s.fields().detail, "Key (a)=(1) already exists.");
  ASSERT_NE(s.payload<Conflict>(), nullptr);
  EXPECT_EQ(s.payload<Conflict>()->key, 7);
  const Status annotated = s.Annotate("writing t");
  EXPECT_EQ(annotated.message(), "writing t: duplicate key");
  EXPECT_EQ(annotated.payload<Conflict>()->key, 7);
}

TEST(Status, OkIsFreeAndUnchangeable) {
  EXPECT_TRUE(OkStatus().Annotate("x").ok());
  EXPECT_EQ(OkStatus().sqlstate(), "00000");
  EXPECT_EQ(UnsupportedError("MERGE").sqlstate(), "0A000");
}

StatusOr<int> Half(int x) {
  if (x % 2) return InvalidArgumentError("odd");
  return x / 2;
}
Status Quarter(int x, int& out) {
  ASSIGN_OR_RETURN(const int half, Half(x));
  ASSIGN_OR_RETURN(out, Half(half));
  return OkStatus();
}

TEST(StatusOr, MacrosPropagate) {
  int out = 0;
  EXPECT_TRUE(Quarter(8, out).ok());
  EXPECT_EQ(out, 2);
  EXPECT_EQ(Quarter(6, out).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace orrery
