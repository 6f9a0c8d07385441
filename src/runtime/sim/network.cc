#include "runtime/sim/network.h"

#include <algorithm>
#include <utility>

#include "runtime/sim/incarnation.h"
#include "runtime/sim/stream_server.h"
#include "runtime/sim/world.h"

namespace orrery::runtime::sim {
namespace {

constexpr size_t kWindowBytes = 256 << 10;
constexpr Duration kRetransmit = 250ms;
constexpr int kAttemptsMax = 60;           // then the wire counts as broken: 15 s
constexpr uint32_t kShortReadPermille = 100;

class ListenerHandle final : public Listener {
 public:
  ListenerHandle(StreamHub& hub, Incarnation& self, std::shared_ptr<SimListener> listener)
      : hub_(hub), self_(self), listener_(std::move(listener)) {}
  ~ListenerHandle() override { hub_.Close(*listener_); }
  std::string address() const override { return listener_->address; }
  StatusOr<std::unique_ptr<ByteStream>> Accept(const Context& context) override {
    self_.loop().CheckHoldsNothing("a client");
    while (listener_->pending.empty()) {
      if (listener_->closed) return FailedPreconditionError("listener closed");
      const Status waited = listener_->acceptable.Wait(self_.loop(), context, "a client at " + listener_->address);
      if (waited.code() == Code::kCancelled) Close();
      if (!waited.ok()) return waited;
    }
    auto stream = std::move(listener_->pending.front());
    listener_->pending.pop_front();
    return stream;
  }
  void Close() override { hub_.Close(*listener_); }

 private:
  StreamHub& hub_;
  Incarnation& self_;
  const std::shared_ptr<SimListener> listener_;
};

}  // namespace

StatusOr<std::optional<size_t>> SimStream::Take(char* buffer, size_t size) {
  if (in_->buffer.empty()) {
    if (closed_) return FailedPreconditionError("stream closed");
    if (in_->broken || read_over_) return UnavailableError("connection to " + peer_ + " lost");
    if (in_->ended) return std::optional<size_t>(0);
    return std::optional<size_t>();
  }
  Loop& loop = self_.loop();
  size_t n = std::min(size, in_->buffer.size());
  if (n > 1 && loop.random().Chance(kShortReadPermille)) n = 1 + size_t(loop.random().Below(n));
  in_->buffer.copy(buffer, n);
  in_->buffer.erase(0, n);
  in_->unread_bytes -= n;
  in_->writable.WakeAll(loop);
  loop.MaybePreempt();
  return std::optional<size_t>(n);
}

StatusOr<std::optional<size_t>> SimStream::TryRead(char* buffer, size_t size) { return Take(buffer, size); }

StatusOr<size_t> SimStream::Read(const Context& context, char* buffer, size_t size) {
  Loop& loop = self_.loop();
  loop.CheckHoldsNothing("bytes from " + peer_);
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<size_t> n, Take(buffer, size));
    if (n) return *n;
    const Status waited = in_->readable.Wait(loop, context, "bytes from " + peer_);
    if (waited.code() == Code::kCancelled) read_over_ = true;
    if (!waited.ok()) return waited;
  }
}

Status SimStream::Write(const Context& context, std::string_view bytes) {
  Loop& loop = self_.loop();
  loop.CheckHoldsNothing("room for bytes to " + peer_);
  while (!bytes.empty()) {
    if (self_.fenced()) return OkStatus();  // the effect vanishes
    if (closed_) return FailedPreconditionError("stream closed");
    if (out_->broken || write_over_) return UnavailableError("connection to " + peer_ + " lost");
    if (out_->unread_bytes >= kWindowBytes) {
      const Status waited = out_->writable.Wait(loop, context, "room for bytes to " + peer_);
      if (waited.code() == Code::kCancelled) write_over_ = true;
      if (!waited.ok()) return waited;
      continue;
    }
    const size_t n = std::min(bytes.size(), kWindowBytes - out_->unread_bytes);
    hub_.Transmit(out_, {std::string(bytes.substr(0, n))});
    bytes.remove_prefix(n);
  }
  loop.MaybePreempt();
  return OkStatus();
}

void SimStream::Close() {
  if (closed_) return;
  closed_ = true;
  in_->reader_gone = true;
  if (!self_.fenced()) hub_.Transmit(out_, {"", true});
  in_->WakeReaders(self_.loop());
  out_->writable.WakeAll(self_.loop());
}

StatusOr<std::shared_ptr<SimListener>> StreamHub::Listen(Incarnation& node, std::string address) {
  if (address.ends_with(":0")) address = address.substr(0, address.size() - 1) + std::to_string(++last_port_);
  auto& slot = listeners_[address];
  if (slot && !slot->closed && !slot->node->fenced())
    return FailedPreconditionError("address " + address + " is already in use");
  slot = std::make_shared<SimListener>();
  slot->node = &node;
  slot->address = address;
  return slot;
}

void StreamHub::Close(SimListener& listener) {
  if (listener.closed) return;
  listener.closed = true;
  listener.pending.clear();
  listener.acceptable.WakeAll(world_.loop);
}

StatusOr<std::unique_ptr<ByteStream>> StreamHub::Connect(const Context& context, Incarnation& from,
                                                         const std::string& address) {
  world_.loop.CheckHoldsNothing("a connection to " + address);
  const auto known = listeners_.find(address);
  const NodeId to = known == listeners_.end() ? NodeId() : known->second->node->node();
  Scheduler& scheduler = from.scheduler();
  RETURN_IF_ERROR(scheduler.SleepFor(context, world_.weather.Delay(from.node(), to)));
  if (world_.weather.Cut(from.node(), to) || world_.weather.Cut(to, from.node())) {
    RETURN_IF_ERROR(scheduler.SleepFor(context, world_.weather.BreakDelay()));
    return UnavailableError("connecting to " + address + ": no route");
  }
  const auto it = listeners_.find(address);
  if (it == listeners_.end() || it->second->closed || it->second->node->fenced() || from.fenced())
    return UnavailableError("connecting to " + address + ": connection refused");
  SimListener& listener = *it->second;
  auto there = std::make_shared<Pipe>();
  auto back = std::make_shared<Pipe>();
  there->from = back->to = &from;
  there->to = back->from = listener.node;
  std::erase_if(pipes_, [](const auto& pipe) { return pipe.expired(); });
  pipes_.push_back(there);
  pipes_.push_back(back);
  const std::string name = "client:" + std::to_string(++last_port_);
  listener.pending.push_back(std::make_unique<SimStream>(*this, *listener.node, there, back, name));
  listener.acceptable.WakeOne(world_.loop);
  return std::unique_ptr<ByteStream>(std::make_unique<SimStream>(*this, from, back, there, address));
}

void StreamHub::Transmit(const std::shared_ptr<Pipe>& pipe, Pipe::Chunk chunk) {
  pipe->unread_bytes += chunk.bytes.size();
  pipe->flight.push_back(std::move(chunk));
  const MonoTime at = world_.loop.now() + world_.weather.Delay(pipe->from->node(), pipe->to->node());
  pipe->last_arrival = std::max(at, pipe->last_arrival);
  world_.loop.At(pipe->last_arrival, [this, pipe] { Arrive(pipe); });
}

void StreamHub::Arrive(const std::shared_ptr<Pipe>& pipe) {
  if (pipe->broken || pipe->to->fenced()) return;
  Pipe::Chunk& chunk = pipe->flight.front();
  if (world_.weather.Cut(pipe->from->node(), pipe->to->node())) {
    if (++chunk.attempts >= kAttemptsMax) return Break(*pipe);
    world_.loop.At(world_.loop.now() + kRetransmit, [this, pipe] { Arrive(pipe); });
    return;
  }
  if (pipe->reader_gone && !chunk.is_end) return Break(*pipe);  // the reset a writer to a closed socket gets
  world_.loop.Trace("bytes", chunk.bytes.size());
  pipe->buffer.append(chunk.bytes);
  if (chunk.is_end) pipe->ended = true;
  pipe->flight.pop_front();
  pipe->WakeReaders(world_.loop);
}

void StreamHub::Break(Pipe& pipe) {
  pipe.broken = true;
  pipe.WakeReaders(world_.loop);
  pipe.writable.WakeAll(world_.loop);
}

void StreamHub::OnFence(Incarnation& node) {
  for (auto& [address, listener] : listeners_)
    if (listener->node == &node) Close(*listener);
  for (const auto& weak : pipes_) {
    const auto pipe = weak.lock();
    if (!pipe || (pipe->from != &node && pipe->to != &node)) continue;
    Incarnation& other = pipe->from == &node ? *pipe->to : *pipe->from;
    const bool cut = world_.weather.Cut(node.node(), other.node());
    const Duration delay = cut ? world_.weather.BreakDelay() : world_.weather.Delay(node.node(), other.node());
    world_.loop.At(world_.loop.now() + delay, [this, pipe] { Break(*pipe); });
  }
}

StatusOr<std::unique_ptr<Listener>> SimNetwork::Listen(std::string_view address) {
  StreamHub& hub = self_.world().streams;
  ASSIGN_OR_RETURN(auto listener, hub.Listen(self_, std::string(address)));
  return std::unique_ptr<Listener>(std::make_unique<ListenerHandle>(hub, self_, std::move(listener)));
}

StatusOr<std::unique_ptr<ByteStream>> SimNetwork::Connect(const Context& context, std::string_view address) {
  return self_.world().streams.Connect(context, self_, std::string(address));
}

std::unique_ptr<StreamServer> SimNetwork::NewStreamServer(const Context& context, const StreamServerOptions& options) {
  return std::make_unique<SimStreamServer>(self_, context, options);
}

}  // namespace orrery::runtime::sim
