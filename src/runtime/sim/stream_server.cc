#include "runtime/sim/stream_server.h"

#include <utility>

#include "orrery/base/assert.h"
#include "runtime/sim/incarnation.h"

namespace orrery::runtime::sim {

SimStreamServer::SimStreamServer(Incarnation& self, const Context& context, const StreamServerOptions& options)
    : self_(self), context_(context), name_(options.name), stack_bytes_(options.stack_bytes) {
  CancelScope* scope = CancelScope::Of(context_);
  listens_ = scope && scope->Register(stop_listener_);
}

SimStreamServer::~SimStreamServer() { ORRERY_ASSERT(joined_, "StreamServer: joined before it is dropped"); }

void SimStreamServer::Join() {
  while (!served_.empty() || task_count_ > 0) {
    ended_.WaitUntil(self_.loop(), MonoTime::Infinite(), "the end of the streams of " + name_);
  }
  if (listens_) CancelScope::Of(context_)->Unregister(stop_listener_);
  joined_ = true;
}

void SimStreamServer::Add(std::unique_ptr<ByteStream> stream, std::unique_ptr<StreamHandler> handler) {
  auto served = std::make_shared<Served>();
  served->stream.reset(static_cast<SimStream*>(stream.release()));
  served->handler = std::move(handler);
  served->at = served_.insert(served_.end(), served);
  served->stream->SetOnReadable([this, weak = std::weak_ptr<Served>(served)] {
    if (const auto alive = weak.lock()) Wake(alive);
  });
  if (served->stream->Readable() || context_.cancelled()) Wake(served);
}

void SimStreamServer::OnStop() {
  for (const auto& served : served_) Wake(served);
}

void SimStreamServer::Wake(const std::shared_ptr<Served>& served) {
  if (served->running || !served->handler) return;
  served->running = true;
  ++served->silence;
  ++task_count_;
  self_.SpawnRaw(
      name_, stack_bytes_, [this, served] { Serve(served); },
      [this] {
        if (--task_count_ == 0) ended_.WakeAll(self_.loop());
      });
}

void SimStreamServer::Serve(const std::shared_ptr<Served>& served) {
  StreamEvent event = StreamEvent::kReadable;
  while (event != StreamEvent::kStopping) {
    event = context_.cancelled()                        ? StreamEvent::kStopping
            : std::exchange(served->timed_out, false)   ? StreamEvent::kIdleTimeout
                                                        : StreamEvent::kReadable;
    const StreamNext next = served->handler->Handle(context_, *served->stream, event);
    if (next.action == StreamNext::Action::kClose) break;
    if (context_.cancelled()) continue;
    if (served->stream->Readable()) {
      self_.loop().Yield();  // others first
      continue;
    }
    if (next.idle_timeout > Duration(0)) SetTimer(served, next.idle_timeout);
    served->running = false;
    return;
  }
  served->handler.reset();  // may wait
  served->stream->SetOnReadable(nullptr);
  served->stream->Close();
  served->stream.reset();
  served_.erase(served->at);
}

void SimStreamServer::SetTimer(const std::shared_ptr<Served>& served, Duration timeout) {
  self_.loop().At(self_.loop().now() + timeout,
                  [this, weak = std::weak_ptr<Served>(served), silence = served->silence] {
                    const auto alive = weak.lock();
                    if (!alive || alive->running || alive->silence != silence) return;
                    alive->timed_out = true;
                    Wake(alive);
                  });
}

}  // namespace orrery::runtime::sim
