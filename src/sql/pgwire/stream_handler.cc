// The stream handler: from a stream's events to the connection and back.
#include <utility>

#include "orrery/sql/pgwire/connection.h"

namespace orrery::sql::pgwire {
namespace {

using runtime::ByteStream;
using runtime::Context;
using runtime::StreamEvent;
using runtime::StreamNext;

constexpr size_t kReadBytes = 16 << 10;
constexpr int kReadsMax = 64;             // at one go, of a client that sends without end
constexpr Duration kLastWordTimeout = 2s;  // for a client that does not read why the server ends the conversation

class StreamFlusher final : public Flusher {
 public:
  explicit StreamFlusher(ByteStream& stream) : stream_(stream) {}
  Status Flush(const Context& context, std::string_view bytes) override { return stream_.Write(context, bytes); }

 private:
  ByteStream& stream_;
};

class ConnectionHandler final : public runtime::StreamHandler {
 public:
  ConnectionHandler(SessionFactory& sessions, const ConnectionLimits& limits, std::string peer)
      : connection_(sessions, limits, std::move(peer)) {}

  StreamNext Handle(const Context& context, ByteStream& stream, StreamEvent event) override {
    switch (event) {
      case StreamEvent::kIdleTimeout:
        connection_.OnIdleTimeout();
        break;
      case StreamEvent::kStopping:
        connection_.Shutdown({Code::kUnavailable, "57P01", "terminating connection due to administrator command"});
        break;
      case StreamEvent::kReadable:
        return OnReadable(context, stream);
    }
    (void)Answer(context, stream);
    return {StreamNext::Action::kClose};
  }

 private:
  StreamNext OnReadable(const Context& context, ByteStream& stream) {
    StreamFlusher flusher(stream);
    char buffer[kReadBytes];
    for (int i = 0; i < kReadsMax && !context.cancelled(); ++i) {
      const auto count = stream.TryRead(buffer, sizeof buffer);
      if (!count.ok() || (*count && **count == 0)) return {StreamNext::Action::kClose};  // the client has gone
      if (!*count) break;
      if (!connection_.Consume(context, std::string_view(buffer, **count), flusher).ok() ||
          !Answer(context, stream).ok() || connection_.finished()) {
        return {StreamNext::Action::kClose};
      }
    }
    connection_.Shrink();
    return {.idle_timeout = connection_.IdleTimeout()};
  }

  Status Answer(const Context& context, ByteStream& stream) {
    if (connection_.output().empty()) return OkStatus();
    // A stopping server still tells its clients why: that write must not see the cancelled context.
    const Status written = stream.Write(
        connection_.finished() ? context.Detached().WithTimeout(kLastWordTimeout) : context, connection_.output());
    connection_.ClearOutput();
    return written;
  }

  Connection connection_;
};

}  // namespace

std::unique_ptr<runtime::StreamHandler> NewStreamHandler(SessionFactory& sessions, const ConnectionLimits& limits,
                                                         std::string peer) {
  return std::make_unique<ConnectionHandler>(sessions, limits, std::move(peer));
}

}  // namespace orrery::sql::pgwire
