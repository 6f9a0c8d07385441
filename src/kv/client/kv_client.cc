#include "orrery/kv/client/kv_client.h"

#include <algorithm>

#include "kv/client/routing.h"
#include "kv/client/txn_coordinator.h"
#include "orrery/kv/api/counter.h"

namespace orrery::kv {
namespace {

constexpr int kTxnAttemptsMax = 100;

bool IsPlainRead(const Request& request) {
  const auto* get = std::get_if<GetRequest>(&request);
  const auto* scan = std::get_if<ScanRequest>(&request);
  return (get && get->lock == LockStrength::kNone) || (scan && scan->lock == LockStrength::kNone);
}

class KvClientImpl : public KvClient, public Database {
 public:
  KvClientImpl(KvClientOptions options, KvClientDeps deps)
      : options_(options),
        clock_(deps.clock),
        random_(deps.runtime.random().Fork("kv client")),
        own_remote_(deps.remote ? nullptr : NewTransportNodeSender(deps.clock)),
        sender_(options.routing, deps.clock, deps.remote ? *deps.remote : *own_remote_, std::move(deps.first_range),
                std::move(deps.silence)),
        background_(options, sender_, deps.runtime) {}

  void SetLocal(Sender& local) override { sender_.SetLocal(local); }
  void Start(const runtime::Context& context) override { background_.Start(context); }
  void Stop() override { background_.Stop(); }
  Database& database() override { return *this; }
  DistSender& sender() override { return sender_; }

  std::unique_ptr<Txn> Begin(const TxnOptions& options) override {
    return std::make_unique<TxnCoordinator>(CoordinatorEnv{options_, sender_, clock_, *random_, background_}, options);
  }

  Status Read(const runtime::Context& context, Batch& batch, Timestamp* read_ts) override {
    batch.responses.clear();
    if (batch.requests.empty()) return OkStatus();
    if (!std::all_of(batch.requests.begin(), batch.requests.end(), IsPlainRead)) {
      return InvalidArgumentError("Database::Read takes Gets and Scans without locks");
    }
    BatchRequest request;
    request.requests.swap(batch.requests);
    request.header.max_keys = batch.max_keys;
    request.header.max_bytes = batch.max_bytes;
    BatchResponse response = sender_.Route(context, request, DistSender::Pieces::kOne);
    request.requests.swap(batch.requests);
    if (!response.error) {
      batch.responses = std::move(response.responses);
      if (read_ts) *read_ts = response.ts;
      return OkStatus();
    }
    const Status error = ToStatus(*response.error);
    if (!GetError<RangeKeyMismatchError>(error)) return error;
    return ReadManyRanges(context, batch, read_ts);
  }

  Status RunTxn(const runtime::Context& context, std::string_view name,
                const std::function<Status(Txn&)>& body) override {
    auto txn = Begin({.isolation = IsolationLevel::kSerializable, .name = name});
    for (int attempt = 0;; ++attempt) {
      Status status = body(*txn);
      if (status.ok()) status = txn->Commit(context);
      if (status.ok()) return status;
      if (!GetError<TxnRetryError>(status) || attempt >= kTxnAttemptsMax) {
        (void)txn->Rollback(context).ok();
        return status;
      }
      RETURN_IF_ERROR(context.Check());
      RETURN_IF_ERROR(txn->Restart(context, status));
    }
  }

  StatusOr<uint64_t> AllocateIds(const runtime::Context& context, std::string_view counter,
                                 uint64_t count) override {
    const std::string key = ClusterKey(counter);
    uint64_t first = 0;
    RETURN_IF_ERROR(RunTxn(context, "allocate ids", [&](Txn& txn) -> Status {
      Batch batch;
      batch.Get(key, LockStrength::kExclusive);
      RETURN_IF_ERROR(txn.Run(context, batch));
      const auto* got = std::get_if<GetResponse>(&batch.responses[0]);
      if (!got) return DataLossError("malformed answer to a read");
      ASSIGN_OR_RETURN(const uint64_t last, DecodeCounter(got->value));
      first = last + 1;
      batch.Clear();
      batch.Put(key, EncodeCounter(last + count));
      return txn.Run(context, batch);
    }));
    return first;
  }

  Status Split(const runtime::Context& context, std::string_view key) override {
    if (key < kTableDataStart || key >= kMaxKey) return InvalidArgumentError("ranges are split within table data only");
    if (options_.table_ranges == TableRanges::kShared) return OkStatus();
    return SendAlone(context, AdminSplitRequest{.split_key = std::string(key)});
  }
  Status ClearSpan(const runtime::Context& context, const Span& span) override {
    return SendAlone(context, ClearRangeRequest{.span = span});
  }
  Timestamp Now() override { return clock_.Now(); }
  StatusOr<std::vector<RangeDescriptor>> ListRanges(const runtime::Context& context, const Span& span) override {
    return sender_.ListRanges(context, span);
  }

 private:
  // One timestamp for several ranges: chosen here, so with uncertainty and all (T11).
  Status ReadManyRanges(const runtime::Context& context, Batch& batch, Timestamp* read_ts) {
    return RunTxn(context, "read", [&](Txn& txn) -> Status {
      RETURN_IF_ERROR(txn.Run(context, batch));
      if (read_ts) *read_ts = txn.read_timestamp();
      return OkStatus();
    });
  }
  Status SendAlone(const runtime::Context& context, Request request) {
    for (int attempt = 0;; ++attempt) {
      BatchRequest batch;
      batch.requests.push_back(request);
      const BatchResponse response = sender_.Route(context, batch, DistSender::Pieces::kMany);
      if (!response.error) return OkStatus();
      Status status = ToStatus(*response.error);
      if (!GetError<TxnRetryError>(status) || attempt >= kTxnAttemptsMax) return status;
      RETURN_IF_ERROR(context.Check());
    }
  }

  const KvClientOptions options_;
  HybridClock& clock_;
  const std::unique_ptr<runtime::Random> random_;
  const std::unique_ptr<NodeSender> own_remote_;
  DistSender sender_;
  Background background_;
};

}  // namespace

std::unique_ptr<KvClient> KvClient::Create(KvClientOptions options, KvClientDeps deps) {
  return std::make_unique<KvClientImpl>(options, std::move(deps));
}

}  // namespace orrery::kv
