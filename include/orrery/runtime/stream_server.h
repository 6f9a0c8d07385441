// StreamServer: serves many byte streams with few tasks. A stream that is silent costs memory; one that has
// something to say gets a task for as long as its handler runs (docs/design/runtime.md, "Many connections").
// Thread-safe.
//
// Invariants: a stream's handler is called by one task at a time; no event is lost: a handler that returns
// while bytes are left to read is called again; a handler that waits (for anything the runtime knows of: a
// condition, a timer, a task, room in a stream) holds no other stream up.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "orrery/base/time.h"
#include "orrery/runtime/context.h"
#include "orrery/runtime/transport.h"

namespace orrery::runtime {

enum class StreamEvent {
  kReadable,     // ByteStream::TryRead has bytes or the end of the stream; seldom nothing
  kIdleTimeout,  // no byte came for as long as the handler had asked for
  kStopping,     // the server's context is cancelled: a last word can be written, then the stream closes
};

// What a handler wants next.
struct StreamNext {
  enum class Action { kWait, kClose };
  Action action = Action::kWait;
  Duration idle_timeout{0};  // of kWait: kIdleTimeout after a silence this long; zero: none
};

// One stream's state and what to do about it. It is destroyed, by a task that may wait, before its stream.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // kReadable: reads with TryRead until that gives nothing, or until it has done a fair share of work (what is
  // left brings it another call, after others had their turn). May wait. After kStopping the stream is closed
  // whatever it returns.
  virtual StreamNext Handle(const Context& context, ByteStream& stream, StreamEvent event) = 0;
  // The peer has closed its writing half or is gone: it will say nothing more. A hint, perhaps repeated, perhaps while
  // Handle runs, that not every server gives. On any task; must not block.
  virtual void OnPeerClosed() {}
};

struct StreamServerOptions {
  std::string_view name = "streams";  // of its tasks; copied
  size_t stack_bytes = 1 << 20;       // of a task that runs handlers
  // Tasks that run handlers without waiting, at once. Zero: as many as the machine has processors.
  size_t running_max = 0;
  // Whether a handler that waits gives its thread away, and may go on with another one: between two waits only nothing that
  // belongs to a thread may be kept. False, and in simulation: it keeps its task.
  bool fibers = true;
};

// Made by Network::NewStreamServer. Cancelling its context ends every stream with kStopping.
class StreamServer {
 public:
  // Asserts that Join was called.
  virtual ~StreamServer() = default;
  // From now on the stream, made by the same Network, is the server's. Not after Join.
  virtual void Add(std::unique_ptr<ByteStream> stream, std::unique_ptr<StreamHandler> handler) = 0;
  virtual size_t stream_count() const = 0;
  // Waits until the last stream has ended and no task is left. Once; the context should have been cancelled.
  virtual void Join() = 0;
};

}  // namespace orrery::runtime
