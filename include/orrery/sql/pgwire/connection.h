// Connection: the server's side of PostgreSQL's protocol 3.0 as an incremental state machine, and the stream
// handler that drives one (docs/formats/pgwire.md; PostgreSQL documentation, chapter 55).
//
// Give it bytes, call Consume, send what stands in output(). All complete messages are processed in one call
// and answered together, so a pipeline costs one write. Not thread-safe: one task at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "orrery/base/status.h"
#include "orrery/runtime/context.h"
#include "orrery/runtime/stream_server.h"
#include "orrery/sql/session/client_session.h"

namespace orrery::sql::pgwire {

struct ConnectionLimits {
  size_t message_bytes_max = size_t{64} << 20;    // a longer Query, Parse, Bind is skipped: ERROR 54000
  size_t small_message_bytes_max = 10'000;        // of Sync, Execute, Describe, …: FATAL 08P01 (as PostgreSQL)
  size_t startup_bytes_max = 10'000;              // PostgreSQL's MAX_STARTUP_PACKET_LENGTH
  // Output beyond this is sent while a statement still runs; until then it can be taken back (B40).
  size_t output_bytes_max = size_t{256} << 10;
};

// Sends bytes of a running statement. Called by Consume when output() is over its bound.
class Flusher {
 public:
  virtual ~Flusher() = default;
  virtual Status Flush(const runtime::Context& context, std::string_view bytes) = 0;
};

class Connection {
 public:
  Connection(SessionFactory& sessions, ConnectionLimits limits, std::string peer);
  ~Connection();

  // Appends the client's bytes and processes what is complete. Errors of statements go to the client; an
  // error here means that the flusher failed: the client has gone.
  Status Consume(const runtime::Context& context, std::string_view bytes, Flusher& flusher);
  // What to send now. ClearOutput once it is sent.
  std::string_view output() const;
  void ClearOutput();
  // The client is silent: gives back memory that only a large message or result had needed.
  void Shrink();
  // The conversation is over: send output(), then close.
  bool finished() const;
  // How long to wait for the client's next bytes; zero: for ever. OnIdleTimeout when it passes.
  Duration IdleTimeout() const;
  void OnIdleTimeout();
  // FATAL with that error, for a server that stops (57P01).
  void Shutdown(const Status& error);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Reads, consumes and writes whenever the client has sent something. What is kept between two messages (a block,
// a COPY under way) stands in the connection, so a silent client needs no task.
std::unique_ptr<runtime::StreamHandler> NewStreamHandler(SessionFactory& sessions, const ConnectionLimits& limits,
                                                         std::string peer);

}  // namespace orrery::sql::pgwire
