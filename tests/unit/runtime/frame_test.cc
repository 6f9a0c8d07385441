// The frames between nodes: golden bytes (docs/formats/node_frames.md) and hostile ones.
#include "runtime/frame.h"

#include <gtest/gtest.h>

#include "orrery/base/hash.h"
#include "runtime/seeded_random.h"
#include "runtime/status_wire.h"

namespace orrery::runtime {
namespace {

TEST(Frame, GoldenBytes) {
  std::string out;
  AppendFrame(out, {FrameKind::kCall, Method::kKvBatch, 300, 1500}, "abc");
  AppendFrame(out, {FrameKind::kMessage, Method::kRaftMessages, 0, 0}, "");
  EXPECT_EQ(HexEncode(out), "0a0802100218ac0220dc0b03616263" "0408011001" "00");
}

TEST(Frame, RoundTrip) {
  std::string batch;
  for (uint64_t i = 0; i < 50; ++i) AppendFrame(batch, {FrameKind::kResponse, Method::kGossip, i, 0}, std::string(i, 'p'));
  std::string_view rest = batch;
  for (uint64_t i = 0; i < 50; ++i) {
    FrameHeader header;
    std::string_view payload;
    ASSERT_TRUE(NextFrame(rest, header, payload).ok());
    EXPECT_EQ(header.call_id, i);
    EXPECT_EQ(header.kind, FrameKind::kResponse);
    EXPECT_EQ(payload, std::string(i, 'p'));
  }
  EXPECT_TRUE(rest.empty());
}

TEST(Frame, HostileBytesAreRefusedOrParsedNeverOverread) {
  SeededRandom random(1);
  int refused = 0;
  for (int round = 0; round < 5'000; ++round) {
    std::string bytes;
    AppendFrame(bytes, {FrameKind::kCall, Method::kKvBatch, random.Next(), 9}, "payload");
    for (int i = 0; i < 3; ++i) bytes[random.Below(bytes.size())] = char(random.Next());
    bytes.resize(random.Below(bytes.size() + 1));
    std::string_view rest = bytes;
    FrameHeader header;
    std::string_view payload;
    while (!rest.empty()) {
      if (!NextFrame(rest, header, payload).ok()) {
        ++refused;
        break;
      }
      ASSERT_LE(payload.size(), bytes.size());
      ASSERT_LE(rest.size(), bytes.size());
    }
  }
  EXPECT_GT(refused, 1'000);
}

TEST(StatusWire, CarriesEverythingButThePayload) {
  ErrorFields fields;
  fields.detail = "d";
  fields.constraint = "c";
  fields.position = 7;
  const Status sent = Status(Code::kAlreadyExists, "23505", "duplicate key").WithFields(fields);
  const Status got = DecodeStatus(EncodeStatus(sent));
  EXPECT_EQ(got.code(), Code::kAlreadyExists);
  EXPECT_EQ(got.sqlstate(), "23505");
  EXPECT_EQ(got.message(), "duplicate key");
  EXPECT_EQ(got.fields().detail, "d");
  EXPECT_EQ(got.fields().constraint, "c");
  EXPECT_EQ(got.fields().position, 7);
  EXPECT_EQ(DecodeStatus("\xff").code(), Code::kDataLoss);
  EXPECT_EQ(DecodeStatus("").code(), Code::kDataLoss) << "an OK status is no failure";
}

}  // namespace
}  // namespace orrery::runtime
