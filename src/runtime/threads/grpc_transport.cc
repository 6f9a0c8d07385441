#include "runtime/threads/grpc_transport.h"

#include <fcntl.h>
#include <grpc/support/log.h>
#include <grpcpp/generic/async_generic_service.h>
#include <absl/synchronization/mutex.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/server_posix.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "orrery/base/assert.h"
#include "runtime/cancel_scope.h"
#include "runtime/status_wire.h"
#include "runtime/threads/call_lane.h"
#include "runtime/threads/grpc_stream.h"
#include "runtime/threads/message_lane.h"
#include "runtime/threads/socket_network.h"

namespace orrery::runtime {
namespace {

// A stream each, so that bulk does not stand in the way of what is urgent.
enum class Lane : uint8_t { kMessages, kCalls, kBulk };
Lane LaneOf(Method method) { return method == Method::kRaftSnapshot ? Lane::kBulk : Lane::kCalls; }

constexpr size_t kMethodMax = 64;
constexpr size_t kPeerTasksMax = 1024;        // lanes of peers, and connections that have not said anything yet
constexpr Duration kFirstByteTimeout = 5s;
constexpr std::string_view kTooManyCalls = "too many calls at once";

class GrpcTransport final : public Transport,
                            private ServerStream::Receiver,
                            private grpc::CallbackGenericService {
 public:
  GrpcTransport(Runtime& runtime, const ThreadsRuntimeOptions& options) : runtime_(runtime), options_(options) {}
  ~GrpcTransport() override { Stop(); }

  void SetAddress(NodeId node, std::string_view address) override;
  void SetIdentity(NodeId node, std::string_view cluster_id) override;
  StatusOr<std::string> Start(const Context& context, std::string_view rpc_address) override;
  void Stop() override;

  StatusOr<std::string> Call(const Context& context, NodeId to, Method method, std::string_view request) override;
  StatusOr<std::string> CallAddress(const Context& context, std::string_view address, Method method,
                                    std::string_view request) override;
  void Send(NodeId to, Method method, std::string message) override;
  void Serve(Method method, CallHandler handler) override {
    call_handlers_[Index(method)] = std::move(handler);
  }
  void ServeOneWay(Method method, MessageHandler handler) override {
    message_handlers_[Index(method)] = std::move(handler);
  }

 private:
  // Where a stream leads: a node at an address, or whoever is at an address.
  using StreamKey = std::tuple<NodeId, std::string, Lane>;
  struct Link {
    std::shared_ptr<ClientStream> stream;  // null: none now
    uint64_t attempt = 0;
    MonoTime retry_at{};
    Duration backoff{};
    Status last_error;
  };

  static size_t Index(Method method) {
    ORRERY_ASSERT(size_t(method) < kMethodMax, "Method numbers fit the handler table");
    return size_t(method);
  }
  StatusOr<std::string> AddressOf(NodeId node);
  // The live stream of a key, connecting if there is none and the last failure is long enough ago.
  StatusOr<std::shared_ptr<ClientStream>> StreamTo(NodeId node, const std::string& address, Lane lane);
  void OnStreamEnded(const StreamKey& key, uint64_t attempt, const Status& reason);
  void OnStreamConnected(const StreamKey& key, uint64_t attempt);
  std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The lanes for calls to a node.
  std::shared_ptr<CallLanes> CallLanesTo(NodeId node);
  // What lanes say who we are by.
  NodeIdentity Identity();
  // The Raft lane to a node, or null: its address is not known, or the transport has stopped.
  std::shared_ptr<LaneSender> LaneTo(NodeId node);
  // Takes connections in, each with a task of its own until it is known who comes: gRPC's it hands over.
  void ServePeers(const Context& context);
  void ServePeer(const Context& context, std::unique_ptr<ByteStream> stream);
  void ServeCalls(NodeId caller, std::unique_ptr<ByteStream> stream);

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;
  void OnMessage(NodeId from, Method method, std::string_view message) override;
  void OnCall(std::shared_ptr<ServerStream> stream, const FrameHeader& header, std::string request) override;
  StatusOr<std::string> RunCall(const Context& context, const Context& transport_context, NodeId from, Method method,
                                std::string_view request);

  Runtime& runtime_;
  const ThreadsRuntimeOptions options_;
  std::array<CallHandler, kMethodMax> call_handlers_;        // constant once started
  std::array<MessageHandler, kMethodMax> message_handlers_;  // constant once started
  std::unique_ptr<grpc::Server> server_;                     // set by Start, reset by Stop
  std::unique_ptr<Listener> listener_;                       // as server_
  std::optional<TaskGroup> acceptor_;                        // as server_
  std::unique_ptr<StreamServer> call_server_;                // as server_: of the call lanes
  std::optional<Context::Cancellable> call_server_scope_;    // as server_
  std::atomic<size_t> calls_running_{0};
  std::atomic<size_t> peer_tasks_{0};

  Mutex mutex_{"grpc_transport"};
  CondVar stream_ended_;
  NodeIdentity identity_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  size_t live_streams_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_attempt_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<NodeId, std::string> addresses_ ABSL_GUARDED_BY(mutex_);
  std::map<StreamKey, Link> links_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(mutex_);
  std::map<NodeId, std::shared_ptr<LaneSender>> lanes_ ABSL_GUARDED_BY(mutex_);
  std::map<NodeId, std::shared_ptr<CallLanes>> call_lanes_ ABSL_GUARDED_BY(mutex_);
  std::optional<TaskGroup> lane_tasks_ ABSL_GUARDED_BY(mutex_);

  Mutex handlers_mutex_{"grpc_transport_handlers"};
  std::optional<TaskGroup> handlers_ ABSL_GUARDED_BY(handlers_mutex_);
};

void GrpcTransport::SetIdentity(NodeId node, std::string_view cluster_id) {
  MutexLock lock(mutex_);
  ORRERY_ASSERT(!identity_.node || identity_.node == node, "a node's identity never changes");
  identity_ = {node, std::string(cluster_id)};
}

StatusOr<std::string> GrpcTransport::Start(const Context& context, std::string_view rpc_address) {
  {
    MutexLock lock(handlers_mutex_);
    ORRERY_ASSERT(!handlers_, "the transport is started once");
    handlers_.emplace(context, "call");
  }
  ASSIGN_OR_RETURN(listener_, SocketNetwork().Listen(rpc_address));
  grpc::ServerBuilder builder;  // without a port: ServePeers gives it its connections
  builder.RegisterCallbackGenericService(this);
  builder.SetMaxReceiveMessageSize(int(options_.message_bytes_max + kBatchBytesMax));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 500);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  server_ = builder.BuildAndStart();
  if (!server_) return InternalError("gRPC does not start");
  call_server_scope_ = context.WithCancel();
  call_server_ = SocketNetwork().NewStreamServer(call_server_scope_->context, {.name = "call lane"});
  acceptor_.emplace(context, "peers");
  acceptor_->Spawn({}, [this](const Context& c) {
    ServePeers(c);
    return OkStatus();
  });
  const std::string bound = listener_->address();
  return std::string(rpc_address.substr(0, rpc_address.rfind(':'))) + bound.substr(bound.rfind(':'));
}

void GrpcTransport::ServePeers(const Context& context) {
  TaskGroup peers(context, "peer");
  while (true) {
    auto stream = listener_->Accept(context);
    if (!stream.ok()) break;
    if (peer_tasks_.fetch_add(1, std::memory_order_relaxed) >= kPeerTasksMax) {
      peer_tasks_.fetch_sub(1, std::memory_order_relaxed);
      continue;
    }
    peers.Spawn({}, [this, stream = std::move(*stream)](const Context& c) mutable {
      ServePeer(c, std::move(stream));
      peer_tasks_.fetch_sub(1, std::memory_order_relaxed);
      return OkStatus();
    });
  }
  peers.Cancel();
  (void)peers.Join();
}

void GrpcTransport::ServePeer(const Context& context, std::unique_ptr<ByteStream> stream) {
  auto& socket = static_cast<SocketStream&>(*stream);  // a SocketNetwork's
  char first = 0;
  {
    ShutdownOnCancel guard(context, socket.fd(), SHUT_RDWR);
    if (!PollUntil(context.WithTimeout(kFirstByteTimeout), socket.fd(), POLLIN).ok()) return;
  }
  if (::recv(socket.fd(), &first, 1, MSG_PEEK | MSG_DONTWAIT) != 1) return;
  if (first == kGrpcFirstByte) {
    const int fd = ::fcntl(socket.fd(), F_DUPFD_CLOEXEC, 0);  // gRPC's own
    if (fd < 0) return;
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    return grpc::AddInsecureChannelFromFd(server_.get(), fd);
  }
  const auto greeting = AcceptLane(context, socket, Identity());
  if (!greeting.ok()) return;  // the peer sees the end of the connection and tries again
  if (greeting->calls) return ServeCalls(greeting->from, std::move(stream));
  LaneReceiver receiver{.from = greeting->from, .message_bytes_max = options_.message_bytes_max, .on_message = {}};
  receiver.on_message = [this](NodeId from, Method method, std::string_view message) { OnMessage(from, method, message); };
  (void)receiver.Serve(context, socket);
}

void GrpcTransport::ServeCalls(NodeId caller, std::unique_ptr<ByteStream> stream) {
  const Context stopping = [this] {
    MutexLock lock(handlers_mutex_);
    return handlers_->context();
  }();
  const auto run = [this, stopping](const Context& context, NodeId from, Method method,
                                    std::string_view request) -> StatusOr<std::string> {
    const bool room = calls_running_.fetch_add(1, std::memory_order_relaxed) < options_.call_tasks_max;
    auto result = room ? RunCall(context, stopping, from, method, request) : UnavailableError(kTooManyCalls);
    calls_running_.fetch_sub(1, std::memory_order_relaxed);
    return result;
  };
  call_server_->Add(std::move(stream),
                    std::make_unique<CallLaneHandler>(stopping, caller, options_.message_bytes_max, run));
}

void GrpcTransport::Stop() {
  std::vector<std::shared_ptr<ClientStream>> streams;
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    for (auto& [key, link] : links_)
      if (link.stream) streams.push_back(link.stream);
    for (auto& [node, lanes] : call_lanes_) lanes->Break();
  }
  for (auto& stream : streams) stream->Cancel();
  streams.clear();
  for (auto* tasks : {&lane_tasks_, &acceptor_}) {
    if (!*tasks) continue;
    (*tasks)->Cancel();
    (void)(*tasks)->Join();
    tasks->reset();
  }
  listener_.reset();
  {
    MutexLock lock(handlers_mutex_);
    if (handlers_) handlers_->Cancel();
  }
  if (call_server_) {
    call_server_scope_->Cancel();
    call_server_->Join();
    call_server_.reset();
  }
  if (server_) {
    server_->Shutdown(std::chrono::system_clock::time_point());  // long past: cancels every stream at once
    server_->Wait();
    server_.reset();
  }
  {
    // No stream is left that could spawn more.
    MutexLock lock(handlers_mutex_);
    if (handlers_) (void)handlers_->Join();
  }
  const Context context(runtime_);
  MutexLock lock(mutex_);
  (void)WaitUntil(context, mutex_, stream_ended_, [&] { return live_streams_ == 0; });
  channels_.clear();
}

void GrpcTransport::SetAddress(NodeId node, std::string_view address) {
  MutexLock lock(mutex_);
  addresses_[node] = address;
  if (const auto it = lanes_.find(node); it != lanes_.end()) it->second->SetAddress(address);
}

std::shared_ptr<LaneSender> GrpcTransport::LaneTo(NodeId node) {
  MutexLock lock(mutex_);
  const auto address = addresses_.find(node);
  if (stopped_ || address == addresses_.end()) return nullptr;
  auto& lane = lanes_[node];
  if (lane) return lane;
  lane = std::make_shared<LaneSender>([this] { return Identity(); }, node, address->second, options_);
  if (!lane_tasks_) lane_tasks_.emplace(Context(runtime_), "raft lane");
  lane_tasks_->Spawn({}, [lane](const Context& context) {
    lane->Run(context);
    return OkStatus();
  });
  return lane;
}

std::shared_ptr<CallLanes> GrpcTransport::CallLanesTo(NodeId node) {
  MutexLock lock(mutex_);
  auto& lanes = call_lanes_[node];
  if (!lanes) lanes = std::make_shared<CallLanes>([this] { return Identity(); }, node, options_.message_bytes_max);
  return lanes;
}

NodeIdentity GrpcTransport::Identity() {
  MutexLock lock(mutex_);
  return identity_;
}

StatusOr<std::string> GrpcTransport::AddressOf(NodeId node) {
  MutexLock lock(mutex_);
  const auto it = addresses_.find(node);
  if (it == addresses_.end()) return UnavailableError("the address of node " + ToString(node) + " is not known");
  return it->second;
}

std::shared_ptr<grpc::Channel> GrpcTransport::ChannelTo(const std::string& address) {
  auto& channel = channels_[address];
  if (channel) return channel;
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(int(options_.message_bytes_max + kBatchBytesMax));
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);  // also how long one attempt to connect may take
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, int(options_.reconnect_backoff_max.count() / 1'000'000));
  // A peer that vanished or stands still is noticed in 2.5 s, about when its ranges have new leaders, so that calls to
  // it fail and are sent there; a ping a second costs next to nothing. The pings are answered by threads that wait for
  // no disk and no lock.
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 1'000);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 1'500);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), args);
  return channel;
}

StatusOr<std::shared_ptr<ClientStream>> GrpcTransport::StreamTo(NodeId node, const std::string& address,
                                                                Lane lane) {
  const StreamKey key{node, address, lane};
  std::shared_ptr<ClientStream> stream;
  std::shared_ptr<grpc::Channel> channel;
  {
    MutexLock lock(mutex_);
    if (stopped_) return UnavailableError("the transport has stopped");
    Link& link = links_[key];
    if (link.stream) return link.stream;
    if (runtime_.clock().MonoNow() < link.retry_at) return link.last_error;
    const uint64_t attempt = link.attempt = ++last_attempt_;
    stream = std::make_shared<ClientStream>(
        NodeIdentity{node ? identity_.node : NodeId(), identity_.cluster_id}, node, address, options_.peer_queue_bytes_max,
        ClientStream::Events{[this, key, attempt] { OnStreamConnected(key, attempt); },
                             [this, key, attempt](const Status& s) { OnStreamEnded(key, attempt, s); }});
    link.stream = stream;
    ++live_streams_;
    channel = ChannelTo(address);
  }
  stream->Start(channel);
  return stream;
}

void GrpcTransport::OnStreamConnected(const StreamKey& key, uint64_t attempt) {
  MutexLock lock(mutex_);
  Link& link = links_[key];
  if (link.attempt == attempt) link.backoff = {};
}

void GrpcTransport::OnStreamEnded(const StreamKey& key, uint64_t attempt, const Status& reason) {
  MutexLock lock(mutex_);
  Link& link = links_[key];
  if (link.attempt == attempt) {
    link.stream.reset();
    link.last_error = reason;
    link.backoff = std::clamp(2 * link.backoff, options_.reconnect_backoff_min, options_.reconnect_backoff_max);
    link.retry_at = runtime_.clock().MonoNow() + link.backoff;
  }
  // Nobody answers calls there either. A lane by itself would not notice a peer that stands still.
  if (const auto lanes = call_lanes_.find(std::get<NodeId>(key)); lanes != call_lanes_.end()) lanes->second->Break();
  --live_streams_;
  stream_ended_.NotifyAll();
}

StatusOr<std::string> GrpcTransport::Call(const Context& context, NodeId to, Method method,
                                          std::string_view request) {
  RETURN_IF_ERROR(context.Check());
  const NodeId self = Identity().node;
  if (to && to == self) {
    const CallHandler& handler = call_handlers_[Index(method)];
    if (!handler) return Status(Code::kUnimplemented, "method not served");
    return handler(context, self, request);
  }
  if (request.size() > options_.message_bytes_max) return ResourceExhaustedError("request too large");
  ASSIGN_OR_RETURN(const std::string address, AddressOf(to));
  ASSIGN_OR_RETURN(const auto stream, StreamTo(to, address, LaneOf(method)));
  // The stream watches the peer for the lanes.
  if (method == Method::kKvBatch && stream->Ready()) {
    if (auto answer = CallLanesTo(to)->Call(context, address, method, request)) return std::move(*answer);
    RETURN_IF_ERROR(context.Check());
  }
  return stream->Call(context, method, request);
}

StatusOr<std::string> GrpcTransport::CallAddress(const Context& context, std::string_view address, Method method,
                                                 std::string_view request) {
  RETURN_IF_ERROR(context.Check());
  if (request.size() > options_.message_bytes_max) return ResourceExhaustedError("request too large");
  ASSIGN_OR_RETURN(const auto stream, StreamTo(NodeId(), std::string(address), LaneOf(method)));
  return stream->Call(context, method, request);
}

void GrpcTransport::Send(NodeId to, Method method, std::string message) {
  if (message.size() > options_.message_bytes_max) return;
  if (method == Method::kRaftMessages) {
    if (const auto lane = LaneTo(to)) lane->Send(method, message);
    return;
  }
  auto address = AddressOf(to);
  if (!address.ok()) return;
  auto stream = StreamTo(to, *address, Lane::kMessages);
  if (stream.ok()) (*stream)->Send(method, message);  // best effort
}

grpc::ServerGenericBidiReactor* GrpcTransport::CreateReactor(grpc::GenericCallbackServerContext* context) {
  if (context->method() != kStreamMethod) return CallbackGenericService::CreateReactor(context);
  const NodeIdentity self = Identity();
  const auto it = context->client_metadata().find(kNodeKey);
  uint64_t from = 0;
  if (it != context->client_metadata().end())
    from = std::strtoull(std::string(it->second.data(), it->second.size()).c_str(), nullptr, 10);
  auto stream = std::make_shared<ServerStream>(static_cast<ServerStream::Receiver&>(*this), NodeId(from));
  stream->Start(*context, self);
  return stream.get();
}

void GrpcTransport::OnMessage(NodeId from, Method method, std::string_view message) {
  // On the thread that reads the wire: a hop would cost 25 µs.
  if (size_t(method) >= kMethodMax || !message_handlers_[size_t(method)]) return;
  message_handlers_[size_t(method)](Context(runtime_), from, message);
}

void GrpcTransport::OnCall(std::shared_ptr<ServerStream> stream, const FrameHeader& header, std::string request) {
  if (calls_running_.fetch_add(1, std::memory_order_relaxed) >= options_.call_tasks_max) {
    calls_running_.fetch_sub(1, std::memory_order_relaxed);
    return stream->Answer(header.call_id, FrameKind::kFailure,
                          EncodeStatus(UnavailableError(kTooManyCalls)));
  }
  MutexLock lock(handlers_mutex_);
  Context::Cancellable cancellable = handlers_->context().WithCancel();
  cancellable.context = WithMillisecondsLeft(cancellable.context, header.timeout_ms);
  // Known to the stream before it reads on: a kCancel right behind the call finds it.
  if (!stream->AddCall(header.call_id, cancellable.scope)) {
    calls_running_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  handlers_->Spawn({.name = "call"}, [this, stream = std::move(stream), header, request = std::move(request),
                                      context = cancellable.context](const Context& transport_context) {
    auto result = RunCall(context, transport_context, stream->from(), header.method, request);
    stream->Answer(header.call_id, result.ok() ? FrameKind::kResponse : FrameKind::kFailure,
                   result.ok() ? *result : EncodeStatus(result.status()));
    calls_running_.fetch_sub(1, std::memory_order_relaxed);
    return OkStatus();
  });
}

StatusOr<std::string> GrpcTransport::RunCall(const Context& context, const Context& transport_context, NodeId from,
                                             Method method, std::string_view request) {
  const CallHandler* handler = size_t(method) < kMethodMax ? &call_handlers_[size_t(method)] : nullptr;
  StatusOr<std::string> result = Status(Code::kUnimplemented, "method not served");
  if (handler && *handler) result = (*handler)(context, from, request);
  // It was this node that stopped, not the caller that cancelled.
  if (result.status().code() == Code::kCancelled && transport_context.cancelled())
    result = AmbiguousError("the node stopped before the call had ended");
  if (result.ok() && result->size() > options_.message_bytes_max)
    result = ResourceExhaustedError("response too large");
  return result;
}

}  // namespace

std::unique_ptr<Transport> NewGrpcTransport(Runtime& runtime, const ThreadsRuntimeOptions& options) {
  // What gRPC would print to stderr reaches our callers as a Status, and our log from there.
  gpr_set_log_function([](gpr_log_func_args*) {});
  // Debian's Abseil looks for lock cycles at each of gRPC's locks; ours are checked in simulation.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return std::make_unique<GrpcTransport>(runtime, options);
}

}  // namespace orrery::runtime
