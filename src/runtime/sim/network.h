// Simulated byte streams between clients and nodes: bytes arrive whole and in order but late and in seeded
// pieces; a cut wire stalls them and at last breaks the stream, a crash resets it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "orrery/runtime/transport.h"
#include "runtime/sim/loop.h"

namespace orrery::runtime::sim {

class Incarnation;
class StreamHub;
class World;

// One direction of a stream. Its bytes wait in `flight` for their turn on the wire, then in `buffer` for the
// reader.
struct Pipe {
  struct Chunk {
    std::string bytes;
    bool is_end = false;
    int attempts = 0;
  };
  Incarnation* from = nullptr;
  Incarnation* to = nullptr;
  std::deque<Chunk> flight;
  std::string buffer;
  size_t unread_bytes = 0;  // in flight and in buffer
  bool ended = false;       // the writer has closed and everything has arrived
  bool broken = false;
  bool reader_gone = false;
  MonoTime last_arrival{};
  WaitQueue readable;
  WaitQueue writable;
  std::function<void()> on_readable;  // of a stream that a server serves; runs on the loop or on a task

  void WakeReaders(Loop& loop) {
    readable.WakeAll(loop);
    if (on_readable) on_readable();
  }
};

struct SimListener {
  Incarnation* node = nullptr;
  std::string address;
  bool closed = false;
  std::deque<std::unique_ptr<ByteStream>> pending;
  WaitQueue acceptable;
};

class SimStream final : public ByteStream {
 public:
  SimStream(StreamHub& hub, Incarnation& self, std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, std::string peer)
      : hub_(hub), self_(self), in_(std::move(in)), out_(std::move(out)), peer_(std::move(peer)) {}
  ~SimStream() override { Close(); }
  StatusOr<size_t> Read(const Context& context, char* buffer, size_t size) override;
  StatusOr<std::optional<size_t>> TryRead(char* buffer, size_t size) override;
  Status Write(const Context& context, std::string_view bytes) override;
  bool Readable() override { return !in_->buffer.empty() || in_->ended || in_->broken || closed_; }
  std::string peer() const override { return peer_; }
  void Close() override;
  // For the stream server: called whenever Readable may have become true.
  void SetOnReadable(std::function<void()> on_readable) { in_->on_readable = std::move(on_readable); }

 private:
  // Bytes, the end of the stream, an error; empty if a reader must wait.
  StatusOr<std::optional<size_t>> Take(char* buffer, size_t size);

  StreamHub& hub_;
  Incarnation& self_;
  const std::shared_ptr<Pipe> in_;
  const std::shared_ptr<Pipe> out_;
  const std::string peer_;
  bool closed_ = false;
  bool read_over_ = false;
  bool write_over_ = false;
};

// All listeners and streams of a world.
class StreamHub {
 public:
  explicit StreamHub(World& world) : world_(world) {}
  StatusOr<std::shared_ptr<SimListener>> Listen(Incarnation& node, std::string address);
  void Close(SimListener& listener);
  StatusOr<std::unique_ptr<ByteStream>> Connect(const Context& context, Incarnation& from, const std::string& address);
  // Puts a chunk on the wire.
  void Transmit(const std::shared_ptr<Pipe>& pipe, Pipe::Chunk chunk);
  void OnFence(Incarnation& node);
  World& world() { return world_; }

 private:
  void Arrive(const std::shared_ptr<Pipe>& pipe);
  void Break(Pipe& pipe);

  World& world_;
  uint64_t last_port_ = 20'000;
  std::map<std::string, std::shared_ptr<SimListener>> listeners_;
  std::vector<std::weak_ptr<Pipe>> pipes_;
};

class SimNetwork final : public Network {
 public:
  explicit SimNetwork(Incarnation& self) : self_(self) {}
  StatusOr<std::unique_ptr<Listener>> Listen(std::string_view address) override;
  StatusOr<std::unique_ptr<ByteStream>> Connect(const Context& context, std::string_view address) override;
  std::unique_ptr<StreamServer> NewStreamServer(const Context& context, const StreamServerOptions& options) override;

 private:
  Incarnation& self_;
};

}  // namespace orrery::runtime::sim
