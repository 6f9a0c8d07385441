// PlantedBug: a mistake that the nodes of a simulated cluster make on purpose (`dbserver sim --plant=NAME`), each one
// that a database has really made (correctness.md, section 6). A test that does not find it would not find the real
// one either. Nothing but the simulation's command sets it: the servers' settings have no name for it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace orrery::kv {

enum class PlantedBug : uint8_t {
  kNone,
  // Timestamps.
  kWritesUnderReads,      // T7: a write does not ask what was read above it
  kNoLowWater,            // T8, B26: a new leaseholder knows nothing of what its predecessor let be read
  kReadsPastLatches,      // T6: the short cut of reads by key does not wait for writes under way
  kForgetsLoans,          // T6: a write does not ask what was read at the replicas that reads were lent to
  kKeepsLoans,            // a replica goes on with the reads that it was lent after they were recalled
  kNoUncertainty,         // T11: clocks are taken to agree
  kIgnoresOrigins,        // B35: a version that was moved up is judged by where it stands now
  kObservesAcrossLeases,  // B35: an observed clock is believed although the range had another leaseholder since
  kTakesIntentsForPending,  // T11: an uncertain intent is passed by without asking whether it is committed
  // Transactions.
  kSkipsRefresh,          // T12: reads move up unproven
  kCommitsAboveReads,     // T12: SERIALIZABLE commits at a later timestamp than it read
  kCommitIgnoresPush,     // B36: a commit acts on its record as it was before somebody pushed it
  kRestartsInSameEpoch,   // B36: writes of an attempt that was given up are taken for the next one's
  kForgetsForwardedWrite, // B38: a commit below the timestamp where its writes stand
  kCommitsTwice,          // B37, T19: a commit that may have been executed is sent again
  kUnknownAsAborted,      // B37, T18: the outcome of a commit is not known, and "not committed" is said
  kUnknownAsCommitted,    // B39: the same, and "committed" is said
  kAcknowledgesProposals, // B39, T15: a write is acknowledged when it is proposed
  kPlainBufferedPuts,     // B44: a write that waited for the commit trusts in a lock that may be lost
  kRollbackKeepsWrites,   // T30: what a savepoint is rolled back over stays
  kCommitsApart,          // I25: parts of a commit over several ranges enter their logs one after the other
  kInsertsUnchecked,      // a block of rows is inserted whether its keys have values or not
  kMixesBlocks,           // T19: blocks of one transaction are on their way together although they have keys in common
  // The log.
  kSequenceAtProposal,    // T4: a command counts as evaluated under the lease that is current when it is proposed
  kServesPastLease,       // B12, B29: a leader goes on serving for seconds after its quorum's promises have run out
  kNoSync,                // B2: what was promised to be durable is not
  kTearsSnapshots,        // A7: a RaftSnapshot has the rows of one moment and the applied index of a later one
  kEffectsAfterCommit,    // A3: a lone voter does without log entries, and writes what they did unsynced
};

struct PlantedBugName {
  PlantedBug bug;
  std::string_view name;
};
// All but kNone.
std::span<const PlantedBugName> PlantedBugNames();
std::optional<PlantedBug> PlantedBugByName(std::string_view name);

}  // namespace orrery::kv
