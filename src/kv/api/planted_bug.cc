#include "orrery/kv/api/planted_bug.h"

namespace orrery::kv {
namespace {

constexpr PlantedBugName kNames[] = {
    {PlantedBug::kWritesUnderReads, "writes-under-reads"},
    {PlantedBug::kNoLowWater, "no-low-water"},
    {PlantedBug::kReadsPastLatches, "reads-past-latches"},
    {PlantedBug::kForgetsLoans, "forgets-loans"},
    {PlantedBug::kKeepsLoans, "keeps-loans"},
    {PlantedBug::kNoUncertainty, "no-uncertainty"},
    {PlantedBug::kIgnoresOrigins, "ignores-origins"},
    {PlantedBug::kObservesAcrossLeases, "observes-across-leases"},
    {PlantedBug::kTakesIntentsForPending, "takes-intents-for-pending"},
    {PlantedBug::kSkipsRefresh, "skips-refresh"},
    {PlantedBug::kCommitsAboveReads, "commits-above-reads"},
    {PlantedBug::kCommitIgnoresPush, "commit-ignores-push"},
    {PlantedBug::kRestartsInSameEpoch, "restarts-in-same-epoch"},
    {PlantedBug::kForgetsForwardedWrite, "forgets-forwarded-write"},
    {PlantedBug::kCommitsTwice, "commits-twice"},
    {PlantedBug::kUnknownAsAborted, "unknown-as-aborted"},
    {PlantedBug::kUnknownAsCommitted, "unknown-as-committed"},
    {PlantedBug::kAcknowledgesProposals, "acknowledges-proposals"},
    {PlantedBug::kPlainBufferedPuts, "plain-buffered-puts"},
    {PlantedBug::kRollbackKeepsWrites, "rollback-keeps-writes"},
    {PlantedBug::kCommitsApart, "commits-apart"},
    {PlantedBug::kInsertsUnchecked, "inserts-unchecked"},
    {PlantedBug::kMixesBlocks, "mixes-blocks"},
    {PlantedBug::kSequenceAtProposal, "sequence-at-proposal"},
    {PlantedBug::kServesPastLease, "serves-past-lease"},
    {PlantedBug::kNoSync, "no-sync"},
    {PlantedBug::kTearsSnapshots, "tears-snapshots"},
    {PlantedBug::kEffectsAfterCommit, "effects-after-commit"},
};

}  // namespace

std::span<const PlantedBugName> PlantedBugNames() { return kNames; }

std::optional<PlantedBug> PlantedBugByName(std::string_view name) {
  for (const PlantedBugName& known : kNames) {
    if (known.name == name) return known.bug;
  }
  return std::nullopt;
}

}  // namespace orrery::kv
