// DistSender's batches that concern several ranges: cutting, sending, putting together.
#include <algorithm>
#include <utility>

#include "kv/client/dist_sender_internal.h"
#include "kv/client/routing.h"

namespace orrery::kv {
namespace {

void MergeTxn(std::optional<Transaction>& into, const std::optional<Transaction>& from) {
  if (!from) return;
  if (!into) {
    into = from;
    return;
  }
  into->meta.write_ts.Forward(from->meta.write_ts);
  into->read_ts.Forward(from->read_ts);
  AddObserved(*into, *from);
}

// Adds the answer about a part of a request's span to what is there.
void MergeResponse(Response& into, Response&& part) {
  if (auto* scan = std::get_if<ScanResponse>(&part)) {
    if (auto* all = std::get_if<ScanResponse>(&into)) {
      all->rows.AppendBlock(scan->rows);
      all->resume = std::move(scan->resume);
      return;
    }
  } else if (auto* resolve = std::get_if<ResolveIntentResponse>(&part)) {
    if (auto* all = std::get_if<ResolveIntentResponse>(&into)) {
      all->resolved_count += resolve->resolved_count;
      return;
    }
  }
  into = std::move(part);
}

bool IsReverse(const Request& request) {
  const auto* scan = std::get_if<ScanRequest>(&request);
  return scan && scan->direction == Direction::kReverse;
}

// Where the next page begins, which is no longer said by the answer then.
std::optional<Span> TakeResume(Response& response) {
  if (auto* scan = std::get_if<ScanResponse>(&response)) return std::exchange(scan->resume, std::nullopt);
  if (auto* resolve = std::get_if<ResolveIntentResponse>(&response)) return std::exchange(resolve->resume, std::nullopt);
  return std::nullopt;
}

}  // namespace

Status DistSender::SplitByRange(const runtime::Context& context, const BatchRequest& request,
                                std::vector<Piece>& pieces) {
  const auto piece_for = [&](RangeLocation location) -> Piece& {
    for (Piece& piece : pieces) {
      // An old record may name the same range for keys that lie behind those it holds now: another piece.
      const RangeDescriptor& known = *piece.location.descriptor;
      if (known.range == location.descriptor->range && known.start == location.descriptor->start) return piece;
    }
    Piece& piece = pieces.emplace_back();
    piece.location = std::move(location);
    piece.batch.header = request.header;
    piece.batch.header.can_forward_read = 0;  // all ranges must be read at one timestamp
    return piece;
  };
  for (size_t i = 0; i < request.requests.size(); ++i) {
    const KeySpan span = KeySpanOf(request.requests[i], request.header);
    std::string at(span.start);
    do {
      ASSIGN_OR_RETURN(RangeLocation location, Locate(context, at));
      const std::string end = location.descriptor->end;
      Piece& piece = piece_for(std::move(location));
      piece.from.push_back(i);
      if (span.is_point()) {
        piece.batch.requests.push_back(request.requests[i]);
        break;
      }
      Span part{at, std::min(std::string(span.end), end)};
      piece.batch.requests.push_back(WithSpan(request.requests[i], std::move(part)));
      at = end;
    } while (at < span.end);
  }
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return a.location.descriptor->start < b.location.descriptor->start;
  });
  return OkStatus();
}

Status DistSender::SendPieces(const runtime::Context& context, std::vector<Piece>& pieces, Effort& effort) {
  const auto send = [this](const runtime::Context& c, Piece& piece, bool maybe_executed) {
    Effort own;
    own.maybe_executed = maybe_executed;
    piece.response = RouteWithEffort(c, piece.batch, Pieces::kMany, own);
  };
  const bool quick = std::all_of(pieces.begin(), pieces.end(), [&](const Piece& piece) {
    return piece.location.leaseholder == options_.node && local_ && IsReadOnly(piece.batch);
  });
  if (quick || pieces.size() == 1) {
    for (Piece& piece : pieces) {
      send(context, piece, effort.maybe_executed);
      if (piece.response.error) break;
    }
    return OkStatus();
  }
  // Each range's consensus round takes its time: side by side. The caller's task takes the first.
  runtime::TaskGroup group(context, "kv batch");
  for (size_t i = 1; i < pieces.size(); ++i) {
    group.Spawn({.name = "kv piece"}, [&, i](const runtime::Context& c) -> Status {
      send(c, pieces[i], effort.maybe_executed);
      return OkStatus();
    });
  }
  send(context, pieces[0], effort.maybe_executed);
  return group.Join();
}

BatchResponse DistSender::RouteInPieces(const runtime::Context& context, const BatchRequest& request, Effort& effort) {
  if (request.header.max_keys != 0 || request.header.max_bytes != 0) return RouteWithLimits(context, request, effort);
  std::vector<Piece> pieces;
  if (Status s = SplitByRange(context, request, pieces); !s.ok()) return ErrorResponse(effort.Verdict(s));
  if (Status s = SendPieces(context, pieces, effort); !s.ok()) return ErrorResponse(effort.Verdict(s));

  BatchResponse out;
  out.responses.assign(request.requests.size(), EmptyResponse{});
  for (Piece& piece : pieces) {
    MergeTxn(out.txn, piece.response.txn);
    out.ts.Forward(piece.response.ts);
    out.now.Forward(piece.response.now);
    if (!piece.response.error) continue;
    KvError error = std::move(*piece.response.error);
    if (error.request_index && *error.request_index < piece.from.size()) {
      error.request_index = uint32_t(piece.from[*error.request_index]);
    }
    out.error = out.error ? WorseOf(*out.error, error) : error;
  }
  if (out.error) {
    out.responses.clear();
    return out;
  }
  const auto take = [&](Piece& piece, bool reverse) {
    for (size_t j = 0; j < piece.from.size() && j < piece.response.responses.size(); ++j) {
      if (IsReverse(request.requests[piece.from[j]]) != reverse) continue;
      MergeResponse(out.responses[piece.from[j]], std::move(piece.response.responses[j]));
    }
  };
  for (Piece& piece : pieces) take(piece, false);
  for (auto it = pieces.rbegin(); it != pieces.rend(); ++it) take(*it, true);
  return out;
}

// One request after the other, one range after the other, in the scan's direction, until the limit is used up.
BatchResponse DistSender::RouteWithLimits(const runtime::Context& context, const BatchRequest& request,
                                          Effort& effort) {
  BatchResponse out;
  uint64_t keys_left = request.header.max_keys;
  uint64_t bytes_left = request.header.max_bytes;
  bool exhausted = false;
  for (const Request& r : request.requests) {
    const auto* scan = std::get_if<ScanRequest>(&r);
    BatchRequest single{request.header, {r}};
    std::vector<Piece> pieces;
    if (Status s = SplitByRange(context, single, pieces); !s.ok()) return ErrorResponse(effort.Verdict(s));
    if (IsReverse(r)) std::reverse(pieces.begin(), pieces.end());
    Response whole = scan ? Response(ScanResponse()) : Response(EmptyResponse());
    for (Piece& piece : pieces) {
      if (exhausted && scan) {  // nothing, or nothing more, of this scan
        auto& answer = std::get<ScanResponse>(whole);
        const Span& part = std::get<ScanRequest>(piece.batch.requests[0]).span;
        if (!answer.resume) answer.resume = IsReverse(r) ? Span{scan->span.start, part.end} : Span{part.start, scan->span.end};
        break;
      }
      piece.batch.header.max_keys = keys_left;
      piece.batch.header.max_bytes = bytes_left;
      Effort own;
      BatchResponse response = RouteWithEffort(context, piece.batch, Pieces::kMany, own);
      MergeTxn(out.txn, response.txn);
      out.ts.Forward(response.ts);
      if (response.error || response.responses.empty()) {
        out.error = response.error ? std::move(response.error) : FromStatus(DataLossError("an answer is missing"));
        return out;
      }
      if (!scan) {
        MergeResponse(whole, std::move(response.responses[0]));
        continue;
      }
      auto* part = std::get_if<ScanResponse>(&response.responses[0]);
      if (!part) return ErrorResponse(DataLossError("malformed answer to a scan"));
      if (keys_left > 0) keys_left -= std::min(keys_left, part->rows.count());
      if (bytes_left > 0) bytes_left -= std::min<uint64_t>(bytes_left, part->rows.bytes());
      exhausted = (request.header.max_keys > 0 && keys_left == 0) || (request.header.max_bytes > 0 && bytes_left == 0);
      auto resume = std::move(part->resume);
      MergeResponse(whole, std::move(response.responses[0]));
      if (!resume) continue;
      std::get<ScanResponse>(whole).resume =
          IsReverse(r) ? Span{scan->span.start, resume->end} : Span{resume->start, scan->span.end};
      exhausted = true;
      break;
    }
    out.responses.push_back(std::move(whole));
  }
  return out;
}

// A batch without limits is answered in full, though each answer of a server has its limit.
void DistSender::FinishPages(const runtime::Context& context, const BatchRequest& request, BatchResponse& response) {
  if (response.error || request.header.max_keys != 0 || request.header.max_bytes != 0) return;
  for (size_t i = 0; i < response.responses.size() && i < request.requests.size(); ++i) {
    for (auto rest = TakeResume(response.responses[i]); rest;) {
      BatchRequest more{request.header, {WithSpan(request.requests[i], *rest)}};
      more.header.can_forward_read = 0;
      if (!more.header.txn) more.header.ts = response.ts;  // one timestamp for the whole scan
      if (more.header.txn && response.txn) more.header.txn = response.txn;
      more.header.max_keys = 0;
      more.header.max_bytes = 0;
      Effort effort;
      BatchResponse next = RoutePage(context, more, Pieces::kMany, effort);
      if (next.error || next.responses.empty()) {
        response.error = next.error ? std::move(next.error) : FromStatus(DataLossError("an answer is missing"));
        return;
      }
      MergeTxn(response.txn, next.txn);
      rest = TakeResume(next.responses[0]);
      MergeResponse(response.responses[i], std::move(next.responses[0]));
    }
  }
}

}  // namespace orrery::kv
