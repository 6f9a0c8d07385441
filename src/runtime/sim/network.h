// Simulated byte streams between clients and nodes: bytes arrive whole and in order but late and in seeded
// pieces; a cut wire stalls them and at last breaks the stream, a crash resets it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "orrery/runtime/transport.h"
#include "runtime/sim/loop.h"

namespace orrery::runtime::sim {

class Incarnation;
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
};

struct SimListener {
  Incarnation* node = nullptr;
  std::string address;
  bool closed = false;
  std::deque<std::unique_ptr<ByteStream>> pending;
  WaitQueue acceptable;
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

 private:
  Incarnation& self_;
};

}  // namespace orrery::runtime::sim
