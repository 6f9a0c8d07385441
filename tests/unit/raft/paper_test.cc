// One test for each claim of the Raft paper that a single replica can show, by what it answers. The
// claims about whole groups are held by the transcripts and by random_cluster_test;
// docs/design/raft.md has the table.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "orrery/raft/memory_storage.h"
#include "orrery/raft/raw_node.h"

namespace orrery::raft {
namespace {

constexpr RaftTerm kT5 = kBootstrapTerm;
constexpr RaftIndex kI10 = kBootstrapIndex;

ConfState Voters(uint64_t n) {
  ConfState conf;
  for (uint64_t i = 1; i <= n; ++i) conf.voters.push_back(ReplicaId(i));
  return conf;
}

// Replica 1 of `voters`, its peers being played by the test.
class Replica {
 public:
  explicit Replica(uint64_t voters, std::vector<Entry> log = {}, StartMode mode = StartMode::kFresh, uint64_t seed = 0)
      : storage_(Voters(voters)) {
    if (!log.empty()) storage_.SetHardState({log.back().term, ReplicaId(), kI10});
    storage_.Append(log);
    auto raw = RawNode::Create(
        {.id = ReplicaId(1), .applied = kI10, .start_time = now, .seed = seed, .start_mode = mode}, storage_);
    raw_ = std::move(*raw);
  }
  // Everything this replica sends, its writes done at once.
  std::vector<Message> Drain() {
    std::vector<Message> sent;
    while (raw_->HasReady()) {
      Ready ready = raw_->TakeReady();
      sent.insert(sent.end(), ready.messages.begin(), ready.messages.end());
      storage_.Append(ready.entries);
      if (ready.hard_state) storage_.SetHardState(*ready.hard_state);
      sent.insert(sent.end(), ready.messages_after_persist.begin(),
                  ready.messages_after_persist.end());
      if (ready.token) raw_->OnPersisted(ready.token, now);
      for (const Entry& entry : ready.committed_entries) raw_->OnApplied(entry.index);
    }
    return sent;
  }
  std::vector<Message> Step(Message m) {
    m.to = ReplicaId(1);
    EXPECT_TRUE(raw_->Step(m, now).ok()) << ToString(m);
    return Drain();
  }
  // Wins the next term with the votes of 2 up to a majority.
  void Lead(uint64_t voters) {
    ASSERT_TRUE(raw_->Campaign(now).ok());
    Drain();
    const RaftTerm term = raw_->GetStatus().term.Next();
    for (const MessageType type : {MessageType::kPreVoteResp, MessageType::kVoteResp}) {
      for (uint64_t i = 2; i <= voters / 2 + 1; ++i)
        Step({.type = type, .from = ReplicaId(i), .term = term});
    }
    ASSERT_EQ(raw_->GetStatus().role, Role::kLeader);
  }
  RawNode& raw() { return *raw_; }
  GroupStatus status() const { return raw_->GetStatus(); }
  MonoTime now{1'000'000'000};

 private:
  MemoryStorage storage_;
  std::unique_ptr<RawNode> raw_;
};

Message VoteFrom(uint64_t from, uint64_t term, RaftTerm log_term = kT5, RaftIndex index = kI10) {
  return {.type = MessageType::kVote,
          .from = ReplicaId(from),
          .term = RaftTerm(term),
          .log_term = log_term,
          .index = index};
}
Message HeartbeatFrom(uint64_t from, uint64_t term) {
  return {.type = MessageType::kHeartbeat, .from = ReplicaId(from), .term = RaftTerm(term)};
}

TEST(RaftPaper, S51_AGreaterTermMakesALeaderFollow) {
  Replica r(3);
  r.Lead(3);
  r.Step(
      {.type = MessageType::kAppResp, .from = ReplicaId(2), .term = RaftTerm(9), .reject = true});
  EXPECT_EQ(r.status().role, Role::kFollower);
  EXPECT_EQ(r.status().term, RaftTerm(9));
}

bool AsksForPreVotes(const std::vector<Message>& sent) {
  return std::any_of(sent.begin(), sent.end(), [](const Message& m) { return m.type == MessageType::kPreVote; });
}

// Not the paper's: whoever shall campaign, and may not yet, does as soon as he may; unless a leader speaks before.
TEST(RaftPaper, ACampaignWaitsForThePromiseToEndAndNoLonger) {
  for (const bool leader_speaks : {false, true}) {
    Replica r(3);
    r.Step(HeartbeatFrom(2, 6));
    r.now = r.now + 300ms;
    EXPECT_FALSE(r.raw().Campaign(r.now).ok());
    r.now = r.now + 699ms;
    r.raw().Tick(r.now);
    EXPECT_FALSE(AsksForPreVotes(r.Drain()));
    if (leader_speaks) r.Step(HeartbeatFrom(2, 6));
    r.now = r.now + 1ms;
    r.raw().Tick(r.now);
    EXPECT_EQ(AsksForPreVotes(r.Drain()), !leader_speaks);
  }
}

TEST(RaftPaper, AVoterThatIsBoundSaysForHowLongAndIsAskedAgainThen) {
  Replica voter(3);
  voter.Step(HeartbeatFrom(2, 6));
  voter.now = voter.now + 400ms;
  Message ask = VoteFrom(3, 7);
  ask.type = MessageType::kPreVote;
  const Message refusal = voter.Step(ask).at(0);
  EXPECT_TRUE(refusal.reject);
  EXPECT_EQ(refusal.bound_for_ns, Duration(600ms).count());

  for (const int64_t bound_for_ns : {Duration(600ms).count(), int64_t(-1), std::numeric_limits<int64_t>::max()}) {
    Replica r(3);
    ASSERT_TRUE(r.raw().Campaign(r.now).ok());
    ASSERT_TRUE(AsksForPreVotes(r.Drain()));
    const MonoTime by_timer = r.raw().NextDeadline();
    const MonoTime begin = r.now;
    r.Step({.type = MessageType::kPreVoteResp, .from = ReplicaId(2), .term = kT5, .reject = true,
            .bound_for_ns = bound_for_ns});
    const MonoTime next = r.raw().NextDeadline();
    // What a peer says is believed up to one election timeout.
    EXPECT_EQ(next, bound_for_ns < 0 ? by_timer : begin + (bound_for_ns < 1'000'000'000 ? Duration(600ms) : Duration(1s)));
    r.now = next;
    r.raw().Tick(r.now);
    EXPECT_TRUE(AsksForPreVotes(r.Drain()));
  }
}

// Not the paper's: successors wait in turn, so that the first needs no luck and no two ask at once.
TEST(RaftPaper, SuccessorsOfALeaderWaitInTurn) {
  std::set<int64_t> turns;
  for (uint64_t group = 0; group < 4; ++group) {
    MemoryStorage storage(Voters(5));
    const MonoTime now{1'000'000'000};
    const auto raw = RawNode::Create({.id = ReplicaId(1), .applied = kI10, .start_time = now, .group = group,
                                      .start_mode = StartMode::kFresh}, storage);
    Message heartbeat = HeartbeatFrom(2, 6);
    heartbeat.to = ReplicaId(1);
    ASSERT_TRUE((*raw)->Step(heartbeat, now).ok());
    const int64_t turn = ((*raw)->NextDeadline() - now - 1000ms) / 250ms;
    const Duration late = (*raw)->NextDeadline() - now - 1000ms - turn * 250ms;
    EXPECT_LT(late, turn < 3 ? Duration(63ms) : Duration(250ms));
    turns.insert(turn);
  }
  EXPECT_EQ(turns, (std::set<int64_t>{0, 1, 2, 3}));
}

TEST(RaftPaper, VotersThatDoNotAnswerAreAskedAgain) {
  Replica r(5);
  ASSERT_TRUE(r.raw().Campaign(r.now).ok());
  ASSERT_EQ(r.Drain().size(), 4u);
  r.Step({.type = MessageType::kPreVoteResp, .from = ReplicaId(2), .term = RaftTerm(6)});
  r.now = r.now + 199ms;
  r.raw().Tick(r.now);
  EXPECT_FALSE(AsksForPreVotes(r.Drain()));
  r.now = r.now + 1ms;
  r.raw().Tick(r.now);
  std::vector<Message> again = r.Drain();
  ASSERT_EQ(again.size(), 3u);
  EXPECT_EQ(again[0].to, ReplicaId(3));
  r.Step({.type = MessageType::kPreVoteResp, .from = ReplicaId(3), .term = RaftTerm(6)});
  ASSERT_EQ(r.status().role, Role::kCandidate);
  r.now = r.now + 200ms;
  r.raw().Tick(r.now);
  again = r.Drain();
  ASSERT_EQ(again.size(), 4u);
  EXPECT_EQ(again[0].type, MessageType::kVote);
  EXPECT_EQ(r.status().term, RaftTerm(6));
}

TEST(RaftPaper, WhoRefusesAShorterLogCampaignsInItsPlace) {
  for (const bool bound : {false, true}) {
    Replica r(3, {{RaftTerm(6), RaftIndex(11), {}, "longer"}});
    if (bound) r.Step(HeartbeatFrom(2, 6));
    Message ask = VoteFrom(3, 7);
    ask.type = MessageType::kPreVote;
    EXPECT_TRUE(r.Step(ask).at(0).reject);
    r.now = r.now + 1ms;
    r.raw().Tick(r.now);
    EXPECT_EQ(AsksForPreVotes(r.Drain()), !bound);
  }
}

TEST(RaftPaper, S52_AVoteLostToARivalIsTriedAgainSoonAndAtRandom) {
  std::set<int64_t> waits;
  for (uint64_t repetition = 0; repetition < 20; ++repetition) {
    Replica r(3, {}, StartMode::kFresh, repetition);
    ASSERT_TRUE(r.raw().Campaign(r.now).ok());
    r.Drain();
    r.Step({.type = MessageType::kPreVoteResp, .from = ReplicaId(2), .term = RaftTerm(6)});
    ASSERT_EQ(r.status().role, Role::kCandidate);
    r.Step({.type = MessageType::kVoteResp, .from = ReplicaId(2), .term = RaftTerm(6), .reject = true});
    const int64_t wait = (r.raw().NextDeadline() - r.now).count();
    EXPECT_GE(wait, Duration(250ms).count());
    EXPECT_LT(wait, Duration(750ms).count());
    waits.insert(wait);
  }
  EXPECT_GT(waits.size(), 15u);
}

// Not the paper's: news of a commit that nobody waits for costs no message of its own.
TEST(RaftPaper, CommitNewsGoWithTheNextMessage) {
  Replica r(3);
  r.Lead(3);
  const auto ack = [&](RaftIndex index) {
    return r.Step({.type = MessageType::kAppResp, .from = ReplicaId(2), .term = r.status().term, .index = index});
  };
  ack(r.status().last_index);  // the term's own entry is told at once
  const RaftIndex opened = r.status().commit;
  ASSERT_EQ(opened, r.status().last_index);
  ASSERT_TRUE(r.raw().Propose("later", CommitNews::kWithNext).ok());
  r.Drain();
  EXPECT_TRUE(ack(opened.Next()).empty());
  EXPECT_EQ(r.status().commit, opened.Next());
  ASSERT_TRUE(r.raw().Propose("next", CommitNews::kWithNext).ok());
  std::vector<Message> sent = r.Drain();
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent[0].commit, opened.Next());
  EXPECT_TRUE(ack(opened.Next().Next()).empty());
  r.now = r.now + Config().heartbeat_interval;
  r.raw().Tick(r.now);
  RaftIndex told;
  for (const Message& m : r.Drain()) {
    if (m.type == MessageType::kHeartbeat && m.to == ReplicaId(2)) told = m.commit;
  }
  EXPECT_EQ(told, opened.Next().Next());
  ASSERT_TRUE(r.raw().Propose("urgent").ok());
  r.Drain();
  EXPECT_FALSE(ack(r.status().last_index).empty());
}

// Whoever holds a change of membership must know after a restart that the one before it is committed: the commit
// index is written with entries (7b), though not by itself.
TEST(RaftPaper, TheCommitIndexIsWrittenWithEntries) {
  Replica r(3);
  const auto app = [&](RaftIndex after, RaftTerm term, std::vector<Entry> entries, RaftIndex commit) {
    Message m{.type = MessageType::kApp, .from = ReplicaId(2), .to = ReplicaId(1), .term = kT5};
    m.index = after;
    m.log_term = term;
    m.entries = std::move(entries);
    m.commit = commit;
    EXPECT_TRUE(r.raw().Step(m, r.now).ok());
    return r.raw().TakeReady();
  };
  const Ready first = app(kI10, kT5, {Entry{kT5, kI10.Next(), EntryKind::kNormal, "a"}}, kI10);
  r.raw().OnPersisted(first.token, r.now);
  const Ready news = app(kI10.Next(), kT5, {}, kI10.Next());
  EXPECT_FALSE(news.hard_state.has_value());
  EXPECT_EQ(news.committed_entries.size(), 1u);
  r.raw().OnPersisted(news.token, r.now);
  const Ready second =
      app(kI10.Next(), kT5, {Entry{kT5, kI10.Next().Next(), EntryKind::kNormal, "b"}}, kI10.Next());
  ASSERT_TRUE(second.hard_state.has_value());
  EXPECT_EQ(second.hard_state->commit, kI10.Next());
}

TEST(RaftPaper, APersistedSoleVotersEntryIsCommittedAtOnce) {
  Replica r(1);
  r.Lead(1);
  ASSERT_TRUE(r.raw().Propose("x").ok());
  const Ready ready = r.raw().TakeReady();
  ASSERT_TRUE(ready.must_sync);
  EXPECT_TRUE(ready.committed_entries.empty());
  r.raw().OnPersisted(ready.token, r.now);
  const auto committed = r.raw().TakeCommitted();
  ASSERT_TRUE(committed.ok());
  ASSERT_EQ(committed->size(), 1u);
  EXPECT_EQ(committed->front().payload, "x");
  r.raw().OnApplied(committed->front().index);
  EXPECT_FALSE(r.raw().HasReady());
}

TEST(RaftPaper, S51_AStaleTermIsRefused) {
  Replica r(3);
  r.Step(HeartbeatFrom(2, 9));
  const auto answers =
      r.Step({.type = MessageType::kApp, .from = ReplicaId(3), .term = RaftTerm(8)});
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0].reject);
  EXPECT_EQ(answers[0].term, RaftTerm(9));
  EXPECT_EQ(r.status().leader, ReplicaId(2));
}

TEST(RaftPaper, S52_AVoterVotesOnceATermAndRepeatsItsAnswer) {
  Replica r(3);
  EXPECT_FALSE(r.Step(VoteFrom(2, 6)).at(0).reject);
  EXPECT_TRUE(r.Step(VoteFrom(3, 6)).at(0).reject);
  EXPECT_FALSE(r.Step(VoteFrom(2, 6)).at(0).reject);
}

TEST(RaftPaper, S52_ACandidateThatLosesDoesNotVoteAgainInThatTerm) {  // B3
  Replica r(3);
  ASSERT_TRUE(r.raw().Campaign(r.now).ok());
  r.Drain();
  r.Step({.type = MessageType::kPreVoteResp, .from = ReplicaId(2), .term = RaftTerm(6)});
  ASSERT_EQ(r.status().role, Role::kCandidate);
  r.Step(
      {.type = MessageType::kVoteResp, .from = ReplicaId(2), .term = RaftTerm(6), .reject = true});
  r.Step(
      {.type = MessageType::kVoteResp, .from = ReplicaId(3), .term = RaftTerm(6), .reject = true});
  ASSERT_EQ(r.status().role, Role::kFollower);
  EXPECT_EQ(r.status().vote, ReplicaId(1));
  EXPECT_TRUE(r.Step(VoteFrom(2, 6)).at(0).reject);
}

TEST(RaftPaper, S52_ACandidateFollowsALeaderOfItsTerm) {
  Replica r(3);
  ASSERT_TRUE(r.raw().Campaign(r.now).ok());
  r.Drain();
  r.Step({.type = MessageType::kPreVoteResp, .from = ReplicaId(2), .term = RaftTerm(6)});
  r.Step(HeartbeatFrom(3, 6));
  EXPECT_EQ(r.status().role, Role::kFollower);
  EXPECT_EQ(r.status().leader, ReplicaId(3));
}

TEST(RaftPaper, S52_ElectionTimeoutsAreRandomWithinOneAndTwoTimesTheLeast) {
  std::set<int64_t> waits;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    MemoryStorage storage(Voters(3));
    const auto raw = RawNode::Create({.id = ReplicaId(1), .applied = kI10, .seed = seed}, storage);
    const int64_t wait = (*raw)->NextDeadline().ns;
    EXPECT_GE(wait, 1'000'000'000);
    EXPECT_LT(wait, 2'000'000'000);
    waits.insert(wait);
  }
  EXPECT_GT(waits.size(), 45u);
}

TEST(RaftPaper, S541_ALessCompleteLogGetsNoVote) {
  const std::vector<Entry> log = {{RaftTerm(6), RaftIndex(11), {}, "a"},
                                  {RaftTerm(7), RaftIndex(12), {}, "b"}};
  struct Case {
    RaftTerm term;
    RaftIndex index;
    bool granted;
  };
  for (const Case& c : {Case{RaftTerm(7), RaftIndex(12), true}, {RaftTerm(7), RaftIndex(13), true},
                        {RaftTerm(8), RaftIndex(11), true}, {RaftTerm(7), RaftIndex(11), false},
                        {RaftTerm(6), RaftIndex(99), false}}) {
    Replica r(3, log);
    EXPECT_EQ(r.Step(VoteFrom(2, 9, c.term, c.index)).at(0).reject, !c.granted) << ToString(c.term);
  }
}

TEST(RaftPaper, S542_OldTermsAreNotCommittedByCounting) {  // B8, figure 8
  Replica r(3, {{RaftTerm(6), RaftIndex(11), {}, "old"}});
  r.Lead(3);
  const RaftTerm term = r.status().term;
  r.Step(
      {.type = MessageType::kAppResp, .from = ReplicaId(2), .term = term, .index = RaftIndex(11)});
  EXPECT_EQ(r.status().commit, kI10);
  r.Step(
      {.type = MessageType::kAppResp, .from = ReplicaId(2), .term = term, .index = RaftIndex(12)});
  EXPECT_EQ(r.status().commit, RaftIndex(12));
}

TEST(RaftPaper, S6_AVoterThatHearsALeaderIgnoresVoteRequestsButNotATransfer) {  // B12, B11
  Replica r(3);
  r.Step(HeartbeatFrom(2, 6));
  EXPECT_TRUE(r.Step(VoteFrom(3, 7)).empty());
  EXPECT_EQ(r.status().term, RaftTerm(6));
  r.now = r.now + 999ms;
  EXPECT_TRUE(r.Step(VoteFrom(3, 7)).empty());
  Message transfer = VoteFrom(3, 7);
  transfer.leader_transfer = true;
  EXPECT_FALSE(r.Step(transfer).at(0).reject);
}

TEST(RaftPaper, S6_ARestartedVoterIgnoresVoteRequestsForOneElectionTimeout) {  // 7b
  Replica r(3, {}, StartMode::kRestarted);
  EXPECT_TRUE(r.Step(VoteFrom(3, 7)).empty());
  r.now = r.now + 1000ms;
  EXPECT_FALSE(r.Step(VoteFrom(3, 7)).at(0).reject);
}

TEST(RaftPaper, S6_AMembershipWaitsUntilTheLastOneHandedOnTheReadPromise) {  // B29
  Replica r(3);
  r.Lead(3);
  const RaftTerm term = r.status().term;
  const Timestamp promise{100, 0};
  r.Step(
      {.type = MessageType::kAppResp, .from = ReplicaId(2), .term = term, .index = RaftIndex(11)});
  r.raw().SetReadPromise(promise);
  r.Step({.type = MessageType::kHeartbeatResp,
          .from = ReplicaId(2),
          .term = term,
          .read_promise = promise});
  EXPECT_EQ(r.raw().LeaseAt(r.now).promised_read_ts, promise);
  const ConfChange add{.steps = {{ConfChangeKind::kAddVoter, ReplicaId(4)}}};
  const auto id = r.raw().ProposeConfChange(add);
  ASSERT_TRUE(id.ok());
  // Of four voters only two know the promise: three make a quorum.
  r.Drain();
  ASSERT_TRUE(r.raw()
                  .Step({.type = MessageType::kAppResp,
                         .from = ReplicaId(2),
                         .to = ReplicaId(1),
                         .term = term,
                         .index = id->index,
                         .read_promise = promise},
                        r.now)
                  .ok());
  const Ready ready = r.raw().TakeReady();
  ASSERT_EQ(ready.committed_entries.size(), 1u);
  ASSERT_TRUE(r.raw().ApplyConfChange(ready.committed_entries[0]).ok());
  r.raw().OnApplied(id->index);
  const ConfChange next{.steps = {{ConfChangeKind::kAddVoter, ReplicaId(5)}}};
  EXPECT_EQ(r.raw().ProposeConfChange(next).status().code(), Code::kFailedPrecondition);
  ASSERT_TRUE(r.raw()
                  .Step({.type = MessageType::kHeartbeatResp,
                         .from = ReplicaId(3),
                         .to = ReplicaId(1),
                         .term = term,
                         .read_promise = promise},
                        r.now)
                  .ok());
  EXPECT_TRUE(r.raw().ProposeConfChange(next).ok());
}

// R6: who is handed the leadership need not go above what was promised and never used. His word holds for the very next
// term: a campaign for a later one knows of nobody's reads but what the votes tell.
TEST(RaftPaper, ASuccessorGoesByWhatWasReadAndOthersByWhatWasPromised) {
  const Timestamp promise{900, 0}, reads_end{500, 0};
  for (const bool first_term_wins : {true, false}) {
    for (const bool word : {true, false}) {
      Replica r(3);
      Message heartbeat = HeartbeatFrom(2, 6);
      heartbeat.read_promise = promise;
      r.Step(heartbeat);
      const auto sent = r.Step({.type = MessageType::kTimeoutNow, .from = ReplicaId(2), .term = RaftTerm(6), .log_term = kT5,
                                .index = kI10, .reads_end = word ? reads_end : Timestamp()});
      ASSERT_FALSE(sent.empty());
      EXPECT_TRUE(sent[0].leader_transfer);
      if (first_term_wins) {
        r.Step({.type = MessageType::kVoteResp, .from = ReplicaId(3), .term = RaftTerm(7), .read_promise = promise});
      } else {
        r.now = r.now + 3s;
        r.Lead(3);
      }
      ASSERT_EQ(r.status().role, Role::kLeader);
      EXPECT_EQ(r.raw().PriorReadPromise(), word && first_term_wins ? reads_end : promise);
      EXPECT_EQ(r.raw().ReadPromise(), promise);  // which others may still be bound by
    }
  }
}

TEST(RaftPaper, ALeaderThatHandsOverSaysHowFarItHasServed) {
  Replica r(3);
  r.Lead(3);
  const RaftTerm term = r.status().term;
  r.raw().SetReadsEnd({400, 0});  // no transfer has begun: it still serves
  ASSERT_TRUE(r.raw().TransferLeadership(ReplicaId(2), r.now).ok());
  r.raw().SetReadsEnd({500, 0});
  r.raw().SetReadsEnd({600, 0});  // it has served nothing since
  r.Drain();
  const auto sent = r.Step({.type = MessageType::kAppResp, .from = ReplicaId(2), .term = term, .index = r.status().last_index});
  const auto word = std::find_if(sent.begin(), sent.end(), [](const Message& m) { return m.type == MessageType::kTimeoutNow; });
  ASSERT_NE(word, sent.end());
  EXPECT_EQ(word->reads_end, (Timestamp{500, 0}));
}

}  // namespace
}  // namespace orrery::raft
