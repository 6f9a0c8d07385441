#include "orrery/kv/client/dist_sender.h"

#include <algorithm>

#include "kv/client/dist_sender_internal.h"
#include "kv/client/remote_calls.h"
#include "kv/client/routing.h"
#include "orrery/base/hash.h"

namespace orrery::kv {
namespace {

template <class Error>
const Error* ErrorOf(const BatchResponse& response) {
  return response.error ? std::get_if<Error>(&response.error->detail) : nullptr;
}

// The request has not reached a replica that would take it; the range has to be looked up again.
bool NeedsNewRoute(const BatchResponse& response) {
  return ErrorOf<RangeKeyMismatchError>(response) || ErrorOf<RangeNotFoundError>(response);
}

}  // namespace

DistSender::DistSender(DistSenderOptions options, HybridClock& clock, NodeSender& remote,
                       std::function<std::optional<RangeDescriptor>()> first_range, std::function<Duration(NodeId)> silence)
    : options_(options), clock_(clock), remote_(remote), first_range_(std::move(first_range)),
      silence_(std::move(silence)), calls_(std::make_unique<RemoteCalls>()) {}

DistSender::~DistSender() = default;

void DistSender::TellLease(const RangeDescriptor& range, NodeId holder) {
  cache_.SetLeaseholder(range, holder);
  calls_->TellLease(range.range, holder);
}

void DistSender::ReviewCalls() { calls_->Review(silence_); }

BatchResponse DistSender::Send(const runtime::Context& context, const BatchRequest& request) {
  BatchRequest copy = request;
  return Route(context, copy, Pieces::kMany);
}

BatchResponse DistSender::Route(const runtime::Context& context, BatchRequest& request, Pieces pieces) {
  Effort effort;
  return RouteWithEffort(context, request, pieces, effort);
}

BatchResponse DistSender::RouteWithEffort(const runtime::Context& context, BatchRequest& request, Pieces pieces,
                                          Effort& effort) {
  BatchResponse response = RoutePage(context, request, pieces, effort);
  FinishPages(context, request, response);
  return response;
}

BatchResponse DistSender::RoutePage(const runtime::Context& context, BatchRequest& request, Pieces pieces,
                                    Effort& effort) {
  for (;;) {
    Status error;
    const std::optional<RangeLocation> location = LocateAll(context, request, error);
    if (!error.ok()) {
      if (error.code() != Code::kUnavailable) return ErrorResponse(error);
      if (Status s = BackOff(context, effort); !s.ok()) return ErrorResponse(effort.Verdict(s));
      continue;
    }
    if (!location) {
      if (pieces == Pieces::kOne) {
        request.header.gateway = options_.node;
        if (local_) return local_->CommitTogether(context, request);
        BatchResponse refused;
        refused.error = KvError{RangeKeyMismatchError{}, std::nullopt};
        return refused;
      }
      // A part may carry other sequence numbers than the whole did: a conditional put that may have happened
      // would not be recognised as a replay.
      if (effort.maybe_executed && HasConditionalPut(request)) {
        return ErrorResponse(AmbiguousError("a write was under way when its range was split"));
      }
      return RouteInPieces(context, request, effort);
    }
    BatchResponse response = SendToRange(context, request, *location, effort);
    if (!NeedsNewRoute(response)) return response;
    if (Status s = BackOff(context, effort); !s.ok()) return ErrorResponse(effort.Verdict(s));
  }
}

std::optional<RangeLocation> DistSender::LocateAll(const runtime::Context& context, const BatchRequest& request,
                                                   Status& error) {
  if (request.requests.empty()) {
    error = InvalidArgumentError("a batch has requests");
    return std::nullopt;
  }
  const KeySpan first = KeySpanOf(request.requests.front(), request.header);
  if (first.start.empty() && first.end.empty() && request.header.range) {  // addressed by range, not by key
    auto location = cache_.FindById(request.header.range);
    if (!location) error = UnavailableError("range " + ToString(request.header.range) + " is not known here");
    return location;
  }
  auto location = Locate(context, first.start);
  if (!location.ok()) {
    error = location.status();
    return std::nullopt;
  }
  for (const Request& r : request.requests) {
    if (!Contains(*location->descriptor, KeySpanOf(r, request.header))) return std::nullopt;
  }
  return std::move(*location);
}

StatusOr<RangeLocation> DistSender::Locate(const runtime::Context& context, std::string_view key) {
  if (auto hit = cache_.Find(key)) return std::move(*hit);
  if (key < kTableDataStart) {
    const auto first = first_range_ ? first_range_() : std::nullopt;
    if (!first) return UnavailableError("the first range is not known yet");
    cache_.Insert(*first);
    if (auto hit = cache_.Find(key)) return std::move(*hit);
    return UnavailableError("the first range does not hold key " + Printable(key));
  }
  if (key >= kMaxKey) return InvalidArgumentError("key " + Printable(key) + " lies above the key space");
  BatchRequest look_up;
  look_up.header.max_keys = options_.meta_prefetch;
  // A split under way has locked the records. Asking what became of it would need the place of its transaction
  // record, which is such a look-up again; a range that has split meanwhile tells its new borders itself.
  look_up.header.wait = WaitPolicy::kReadCommitted;
  look_up.requests.emplace_back(
      ScanRequest{.span = {MetaKey(key).append(1, '\0'), ordered::PrefixEnd(kMetaPrefix)}});
  BatchResponse response = Route(context, look_up, Pieces::kOne);
  if (response.error) return ToStatus(*response.error).Annotate("looking up the range of key " + Printable(key));
  const auto* scan = response.responses.empty() ? nullptr : std::get_if<ScanResponse>(&response.responses[0]);
  if (!scan) return DataLossError("malformed answer of the meta range");
  std::optional<RangeDescriptor> found, above;
  for (auto cursor = scan->rows.Begin(); cursor.Next();) {
    RangeDescriptor descriptor;
    RETURN_IF_ERROR(wire::Decode(cursor.value(), descriptor));
    cache_.Insert(descriptor);
    if (!found && !above && descriptor.start > key) above = descriptor;
    if (!found && descriptor.ContainsKey(key)) found = std::move(descriptor);
  }
  if (auto hit = cache_.Find(key)) return std::move(*hit);
  // The meta record is older than what some range told of its split. Taken whole it would claim keys of ranges that
  // are known better, and a batch would be cut into the same pieces for ever (seed 1 of the simulated bank).
  if (found) {
    return RangeLocation{std::make_shared<const RangeDescriptor>(cache_.Remainder(*found, key)), NodeId()};
  }
  // Of a split whose record is to be found in its left half, the right half's meta record is unlocked and the left
  // one's is not, so that nobody learns from here where to ask what became of it. The right half's stores hold the
  // left half, too, and say so when asked for the key (seed 5024 of the simulated register).
  if (above) {
    above->end = std::exchange(above->start, std::string(key));
    return RangeLocation{std::make_shared<const RangeDescriptor>(std::move(*above)), NodeId()};
  }
  return UnavailableError("no range holds key " + Printable(key));
}

BatchResponse DistSender::SendToRange(const runtime::Context& context, BatchRequest& request,
                                      const RangeLocation& location, Effort& effort) {
  const RangeDescriptor& range = *location.descriptor;
  request.header.range = range.range;
  request.header.generation = range.generation;
  request.header.gateway = options_.node;
  request.header.may_borrow = 0;
  if (local_ && location.leaseholder != options_.node && range.FindNode(options_.node) && IsPlainRead(request)) {
    BatchResponse response;
    if (local_->ReadLent(request, response)) return response;
    request.header.may_borrow = 1;
  }
  const bool retry_safe = IsRetrySafe(request) || options_.planted == PlantedBug::kCommitsTwice;
  Target target(location, options_.node);
  for (;;) {
    if (Status s = context.Check(); !s.ok()) return ErrorResponse(effort.Verdict(s));
    if (target.nodes.empty()) return ErrorResponse(UnavailableError("range " + ToString(range.range) + " has no replicas"));
    const NodeId node = target.nodes[target.next];
    BatchResponse response = Ask(context, node, request);
    Learn(response);
    if (!response.error) {
      if (location.leaseholder != node) cache_.SetLeaseholder(range, node);
      return response;
    }
    if (ErrorOf<RangeKeyMismatchError>(response)) {
      if (!cache_.Find(range.start) || response.descriptors.empty()) cache_.Evict(range);
      return response;
    }
    if (!NextTarget(response, target, effort, retry_safe)) return response;
    if (IsReadOnly(request)) effort.maybe_executed = false;  // without effect, however often it was executed
    if (target.next < target.nodes.size()) continue;
    // Everyone was asked in vain.
    if (target.missing > 0) {
      cache_.Evict(range);
      return response.error ? ErrorResponse(ToStatus(KvError{RangeNotFoundError{range.range}, std::nullopt})) : response;
    }
    cache_.SetLeaseholder(range, NodeId());
    if (Status s = BackOff(context, effort, range.range); !s.ok()) return ErrorResponse(effort.Verdict(s));
    const auto known = cache_.Find(range.start);
    const bool same = known && known->descriptor->generation == range.generation;
    target = Target({location.descriptor, same ? known->leaseholder : NodeId()}, options_.node);
  }
}

// Moves on to whom to ask next; false if the response is the answer.
bool DistSender::NextTarget(const BatchResponse& response, Target& target, Effort& effort, bool retry_safe) {
  if (const auto* moved = ErrorOf<NotLeaseholderError>(response)) {
    const NodeId hint = moved->lease_holder.node;
    auto it = std::find(target.nodes.begin(), target.nodes.end(), hint);
    if (hint && it == target.nodes.end()) ++target.missing;  // the replicas have changed
    if (hint && it != target.nodes.end() && hint != target.nodes[target.next] && target.redirects < kRedirectsMax) {
      ++target.redirects;
      target.next = size_t(it - target.nodes.begin());
    } else {
      ++target.next;
    }
    return true;
  }
  if (ErrorOf<RangeNotFoundError>(response)) {
    ++target.missing;
    ++target.next;
    return true;
  }
  const auto* other = ErrorOf<OtherError>(response);
  if (!other) return false;
  const Code code = Code(other->code);
  if (code == Code::kUnavailable) {
    ++target.next;
    return true;
  }
  const bool perhaps = code == Code::kAmbiguous || code == Code::kDeadlineExceeded || code == Code::kCancelled;
  if (!perhaps || !retry_safe) return false;
  effort.maybe_executed = true;
  ++target.next;
  return true;
}

BatchResponse DistSender::Ask(const runtime::Context& context, NodeId node, const BatchRequest& request) {
  if (node == options_.node && local_) return local_->Send(context, request);
  if (silence_ && silence_(node) > kSilenceMax) {
    return ErrorResponse(UnavailableError("node " + ToString(node) + " has not been heard of lately"));
  }
  const RemoteCalls::Call call(*calls_, context.WithTimeout(options_.attempt_timeout), node, request.header.range,
                               IsRetrySafe(request) ? RemoteCalls::Repeat::kSafe : RemoteCalls::Repeat::kUnsafe);
  const MonoTime asked_at = context.runtime().clock().MonoNow();
  BatchResponse response = remote_.SendTo(call.context(), node, request);
  if (response.loan && local_ && request.header.may_borrow != 0) local_->AcceptLoan(request.header.range, *response.loan, asked_at);
  const auto* other = ErrorOf<OtherError>(response);
  const bool perhaps = other && (Code(other->code) == Code::kDeadlineExceeded || Code(other->code) == Code::kCancelled);
  if (perhaps && !IsReadOnly(request)) {
    return ErrorResponse(AmbiguousError("no answer from node " + ToString(node) + ": " + other->message));  // T18
  }
  return response;
}

Status DistSender::BackOff(const runtime::Context& context, Effort& effort, RangeId range) {
  const MonoTime now = context.runtime().clock().MonoNow();
  if (!effort.give_up) effort.give_up = now + options_.give_up_after;
  if (now >= *effort.give_up) return Status(Code::kUnavailable, "57P03", "a range has no leaseholder at present");
  effort.backoff = std::clamp(effort.backoff * 2, options_.backoff_min, options_.backoff_max);
  if (!range) return context.runtime().scheduler().SleepFor(context, effort.backoff);
  return calls_->AwaitLease(context, range, effort.backoff);
}

void DistSender::Learn(const BatchResponse& response) {
  for (const RangeDescriptor& descriptor : response.descriptors) cache_.Insert(descriptor);
  if (const auto* mismatch = ErrorOf<RangeKeyMismatchError>(response)) {
    for (const RangeDescriptor& descriptor : mismatch->descriptors) cache_.Insert(descriptor);
  }
}

StatusOr<std::vector<RangeDescriptor>> DistSender::ListRanges(const runtime::Context& context, const Span& span) {
  std::vector<RangeDescriptor> out;
  BatchRequest request;
  request.requests.emplace_back(
      ScanRequest{.span = {MetaKey(span.start).append(1, '\0'), ordered::PrefixEnd(kMetaPrefix)}});
  BatchResponse response = Route(context, request, Pieces::kOne);
  if (response.error) return ToStatus(*response.error);
  const auto* scan = response.responses.empty() ? nullptr : std::get_if<ScanResponse>(&response.responses[0]);
  if (!scan) return DataLossError("malformed answer of the meta range");
  for (auto cursor = scan->rows.Begin(); cursor.Next();) {
    RangeDescriptor descriptor;
    RETURN_IF_ERROR(wire::Decode(cursor.value(), descriptor));
    if (!Span{descriptor.start, descriptor.end}.Overlaps(span)) break;
    out.push_back(std::move(descriptor));
  }
  return out;
}

}  // namespace orrery::kv
