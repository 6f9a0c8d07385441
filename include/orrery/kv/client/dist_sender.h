// DistSender: takes a batch to the ranges it concerns. It looks them up, splits the batch at their borders,
// asks the leaseholders (a range led by this node: a function call), follows redirects, tries other replicas,
// and puts the answers together. Thread-safe.
//
// What is sent twice: reads, and all that is idempotent (T19): writes of a transaction (by transaction, epoch,
// sequence), refreshes, pushes, resolutions, heartbeats, aborts. Anything else that may have been executed ends
// as Ambiguous (T18), above all a commit: its coordinator finds out.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "orrery/base/status_or.h"
#include "orrery/kv/api/planted_bug.h"
#include "orrery/kv/api/sender.h"
#include "orrery/kv/client/range_cache.h"
#include "orrery/kv/hlc/hybrid_clock.h"
#include "orrery/runtime/runtime.h"

namespace orrery::kv {

// The way to another node's Sender. Errors of the way itself: Unavailable if certainly not executed, else
// Ambiguous, DeadlineExceeded or Cancelled, in `error` as OtherError. Thread-safe.
class NodeSender {
 public:
  virtual ~NodeSender() = default;
  virtual BatchResponse SendTo(const runtime::Context& context, NodeId node, const BatchRequest& request) = 0;
};
// Over Method::kKvBatch of the context's transport; keeps `clock` above what the others say (T3).
std::unique_ptr<NodeSender> NewTransportNodeSender(HybridClock& clock);
// The other end: decodes, checks the clock (T2), asks `local`, encodes. For the handler of Method::kKvBatch.
StatusOr<std::string> ServeKvBatch(Sender& local, HybridClock& clock, const runtime::Context& context,
                                   std::string_view request);

// A node that nobody has heard of for so long is not asked any more: it would not answer. More than a process under load
// stands still, less than its ranges take to elect somebody else.
constexpr Duration kSilenceMax = 1300ms;

struct DistSenderOptions {
  NodeId node;                          // this one
  Duration backoff_min = 2ms;           // after every replica of a range was asked in vain
  Duration backoff_max = 250ms;
  Duration attempt_timeout = 10s;       // of one remote call
  Duration give_up_after = 60s;         // of a range without a leaseholder: Unavailable (R15)
  uint64_t meta_prefetch = 16;          // descriptors read in one look-up
  PlantedBug planted = PlantedBug::kNone;  // of the whole client (planted_bug.h)
};

class RemoteCalls;

class DistSender : public Sender {
 public:
  // Collaborators outlive it. `first_range`: range 1 as gossip knows it. `silence`: for how long nobody has heard of a
  // node, zero if it is not known; null: of none.
  DistSender(DistSenderOptions options, HybridClock& clock, NodeSender& remote,
             std::function<std::optional<RangeDescriptor>()> first_range, std::function<Duration(NodeId)> silence = {});
  ~DistSender() override;
  // This node's store. Before the first request.
  void SetLocal(Sender& local) { local_ = &local; }

  BatchResponse Send(const runtime::Context& context, const BatchRequest& request) override;
  // The same without a copy: the header's range and generation are filled in on the way. A batch that must
  // stay in one piece and is more than one range's is answered with RangeKeyMismatchError and not executed, unless this
  // node's store can commit it at once in all of them (Sender::CommitTogether).
  enum class Pieces : uint8_t { kMany, kOne };
  BatchResponse Route(const runtime::Context& context, BatchRequest& request, Pieces pieces);

  StatusOr<RangeLocation> Locate(const runtime::Context& context, std::string_view key);
  // The ranges that overlap the span, in key order, read from the meta range and not from the cache.
  StatusOr<std::vector<RangeDescriptor>> ListRanges(const runtime::Context& context, const Span& span);
  RangeCache& cache() { return cache_; }

  // What this node's store has heard: the range's lease is the node's. Whoever waits for it goes on at once.
  void TellLease(const RangeDescriptor& range, NodeId holder);
  // Ends calls that nobody will answer. To be called every RemoteCalls::kReviewInterval.
  void ReviewCalls();

 private:
  struct Piece;
  struct Target;
  struct Effort;

  std::optional<RangeLocation> LocateAll(const runtime::Context& context, const BatchRequest& request, Status& error);
  BatchResponse SendToRange(const runtime::Context& context, BatchRequest& request, const RangeLocation& location,
                            Effort& effort);
  bool NextTarget(const BatchResponse& response, Target& target, Effort& effort, bool retry_safe);
  BatchResponse Ask(const runtime::Context& context, NodeId node, const BatchRequest& request);
  // `range`: the one without a leaseholder, if that is why.
  Status BackOff(const runtime::Context& context, Effort& effort, RangeId range = {});
  BatchResponse RouteWithEffort(const runtime::Context& context, BatchRequest& request, Pieces pieces, Effort& effort);
  // The same, but what one range answers may end before the request's end.
  BatchResponse RoutePage(const runtime::Context& context, BatchRequest& request, Pieces pieces, Effort& effort);
  BatchResponse RouteInPieces(const runtime::Context& context, const BatchRequest& request, Effort& effort);
  BatchResponse RouteWithLimits(const runtime::Context& context, const BatchRequest& request, Effort& effort);
  Status SplitByRange(const runtime::Context& context, const BatchRequest& request, std::vector<Piece>& pieces);
  Status SendPieces(const runtime::Context& context, std::vector<Piece>& pieces, Effort& effort);
  void FinishPages(const runtime::Context& context, const BatchRequest& request, BatchResponse& response);
  void Learn(const BatchResponse& response);

  const DistSenderOptions options_;
  HybridClock& clock_;
  NodeSender& remote_;
  const std::function<std::optional<RangeDescriptor>()> first_range_;
  const std::function<Duration(NodeId)> silence_;
  Sender* local_ = nullptr;
  RangeCache cache_;
  const std::unique_ptr<RemoteCalls> calls_;
};

}  // namespace orrery::kv
