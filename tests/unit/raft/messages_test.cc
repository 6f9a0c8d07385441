// The bytes of messages and records: golden, round trips, and input that must not be believed.
#include <gtest/gtest.h>

#include <random>

#include "orrery/base/wire.h"
#include "orrery/raft/memory_storage.h"
#include "orrery/raft/raw_node.h"

namespace orrery::raft {
namespace {

Message Sample() {
  return {.type = MessageType::kApp, .from = ReplicaId(1), .to = ReplicaId(2), .term = RaftTerm(7),
          .log_term = RaftTerm(6), .index = RaftIndex(300),
          .entries = {{RaftTerm(7), RaftIndex(301), EntryKind::kNormal, "ab"}},
          .commit = RaftIndex(299), .sent_at = {5}, .read_promise = {9, 1}};
}

std::string Hex(const std::string& bytes) {
  std::string out;
  for (const unsigned char c : bytes) {
    out += "0123456789abcdef"[c >> 4];
    out += "0123456789abcdef"[c & 15];
  }
  return out;
}

// docs/formats/raft_messages.md explains these bytes; a later version must still read them.
TEST(RaftMessages, Golden) {
  EXPECT_EQ(Hex(wire::Encode(Sample())),
            "080110011802200728063"
            "0ac023a0908071"
            "0ad02220261"
            "6240ab0272"
            "02080a7a0408121001");
  EXPECT_EQ(Hex(wire::Encode(HardState{RaftTerm(7), ReplicaId(2), RaftIndex(300)})),
            "0807100218ac02");
}

TEST(RaftMessages, RoundTrip) {
  Message decoded;
  ASSERT_TRUE(wire::Decode(wire::Encode(Sample()), decoded).ok());
  EXPECT_EQ(decoded, Sample());
  Message snap{.type = MessageType::kSnap, .snapshot = SnapshotMeta{RaftIndex(5), RaftTerm(3),
               {.voters = {ReplicaId(1), ReplicaId(2)}, .voters_outgoing = {ReplicaId(1)},
                .learners = {ReplicaId(4)}, .learners_next = {ReplicaId(1)}, .auto_leave = true}}};
  ASSERT_TRUE(wire::Decode(wire::Encode(snap), decoded).ok());
  EXPECT_EQ(decoded, snap);
}

// Peer bytes never reach an assertion: whatever arrives, Step answers with a Status.
TEST(RaftMessages, ArbitraryMessagesAreSurvived) {
  std::mt19937_64 rng(3);
  const auto small = [&] { return rng() % 16; };
  for (int group = 0; group < 300; ++group) {
    MemoryStorage storage(ConfState{.voters = {ReplicaId(1), ReplicaId(2), ReplicaId(3)}});
    auto node = RawNode::Create({.id = ReplicaId(1), .applied = kBootstrapIndex, .seed = rng(),
                                 .start_mode = StartMode::kFresh}, storage);
    ASSERT_TRUE(node.ok());
    MonoTime now{1};
    for (int i = 0; i < 100; ++i) {
      Message m{.type = MessageType(rng() % 12),
                .from = ReplicaId(rng() % 4),
                .to = ReplicaId(1),
                .term = RaftTerm(small()),
                .log_term = RaftTerm(small()),
                .index = RaftIndex(small()),
                .commit = RaftIndex(small()),
                .reject = bool(rng() % 2),
                .reject_hint = RaftIndex(small()),
                .leader_transfer = bool(rng() % 2),
                .read_round = small(),
                .sent_at = {int64_t(rng())}};
      for (uint64_t n = rng() % 3, at = m.index.value(); n > 0; --n) {
        m.entries.push_back({RaftTerm(small()), RaftIndex(++at), EntryKind(rng() % 2), "?"});
      }
      if (rng() % 4 == 0) {
        m.snapshot = SnapshotMeta{RaftIndex(small()), RaftTerm(small()),
                                  {.voters = {ReplicaId(rng() % 3), ReplicaId(rng() % 3 + 1)}}};
      }
      now = now + Duration(rng() % 500'000'000);
      (void)(*node)->Step(std::move(m), now);
      (*node)->Tick(now);
      while ((*node)->HasReady()) {
        const Ready ready = (*node)->TakeReady();
        if (ready.snapshot) storage.InstallSnapshot(*ready.snapshot);
        storage.Append(ready.entries);
        if (ready.hard_state) storage.SetHardState(*ready.hard_state);
        if (ready.token) (*node)->OnPersisted(ready.token, now);
        for (const Entry& entry : ready.committed_entries) {
          if (entry.kind == EntryKind::kConfChange) (void)(*node)->ApplyConfChange(entry);
          (*node)->OnApplied(entry.index);
        }
      }
    }
  }
}

TEST(RaftConfig, ContradictionsAreRefused) {
  const MemoryStorage storage(ConfState{.voters = {ReplicaId(1)}});
  const Config good{.id = ReplicaId(1), .applied = kBootstrapIndex};
  EXPECT_TRUE(RawNode::Create(good, storage).ok());
  Config bad = good;
  bad.lease_duration = 995ms;  // times 1.01: over the election timeout (B12)
  EXPECT_EQ(RawNode::Create(bad, storage).status().code(), Code::kInvalidArgument);
  bad = good;
  bad.heartbeat_interval = 600ms;
  EXPECT_EQ(RawNode::Create(bad, storage).status().code(), Code::kInvalidArgument);
  bad = good;
  bad.applied = RaftIndex(11);
  EXPECT_EQ(RawNode::Create(bad, storage).status().code(), Code::kDataLoss);
}

}  // namespace
}  // namespace orrery::raft
