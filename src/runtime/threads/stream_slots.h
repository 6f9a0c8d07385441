// StreamSlots: the streams of a server by the key that epoll hands back. A slot is never freed, only used again
// under another key: an event that was fetched just before its stream ended names a key that no longer fits,
// and is dropped. Claim, MarkDirty and Release are lock-free; thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "orrery/base/assert.h"
#include "orrery/runtime/stream_server.h"
#include "runtime/threads/socket_stream.h"

namespace orrery::runtime::internal {

struct StreamSlot {
  enum State : uint64_t { kFree = 0, kIdle = 1, kServed = 2, kServedDirty = 3 };
  std::atomic<uint64_t> word{kFree};  // generation << 2 | State
  uint32_t index = 0;
  bool timer_set = false;  // of the thread that serves the stream
  // Changed under the server's mutex; the handler serves one thread, but for OnPeerClosed, which is under it, too.
  std::unique_ptr<StreamHandler> handler;
  std::unique_ptr<SocketStream> stream;
  MonoTime idle_deadline = MonoTime::Infinite();  // of the entry in the server's timers

  // Present while the stream lives, and no longer after.
  uint64_t key() const { return (word.load(std::memory_order_relaxed) >> 2) << 32 | index; }
};

class StreamSlots {
 public:
  // Under the server's mutex. The slot is idle.
  StreamSlot& Allocate(std::unique_ptr<SocketStream> stream, std::unique_ptr<StreamHandler> handler) {
    if (free_.empty()) Grow();
    StreamSlot& slot = *free_.back();
    free_.pop_back();
    slot.handler = std::move(handler);
    slot.stream = std::move(stream);
    slot.timer_set = false;
    const uint64_t generation = slot.word.load(std::memory_order_relaxed) >> 2;
    slot.word.store(generation << 2 | StreamSlot::kIdle, std::memory_order_release);
    return slot;
  }
  // Under the server's mutex, by the thread that serves it: from now on no event finds it.
  void Retire(StreamSlot& slot) {
    const uint64_t generation = slot.word.load(std::memory_order_relaxed) >> 2;
    slot.word.store(uint64_t(uint32_t(generation + 1)) << 2 | StreamSlot::kFree, std::memory_order_release);
  }
  void GiveBack(StreamSlot& slot) { free_.push_back(&slot); }

  StreamSlot& At(uint64_t key) {
    const uint32_t index = uint32_t(key);
    return chunks_[index / kChunk].load(std::memory_order_acquire)[index % kChunk];
  }
  // The calling thread serves the stream from now on. Null: another does, and is told that more came; or the
  // stream has ended.
  StreamSlot* Claim(uint64_t key) {
    StreamSlot& slot = At(key);
    uint64_t word = slot.word.load(std::memory_order_acquire);
    while (word >> 2 == key >> 32) {
      const uint64_t state = word & 3, rest = word & ~uint64_t{3};
      if (state == StreamSlot::kIdle) {
        if (slot.word.compare_exchange_weak(word, rest | StreamSlot::kServed)) return &slot;
      } else if (state == StreamSlot::kServed) {
        if (slot.word.compare_exchange_weak(word, rest | StreamSlot::kServedDirty)) return nullptr;
      } else {
        return nullptr;
      }
    }
    return nullptr;
  }
  // The serving thread is done. False: more came meanwhile, and it is still the one that serves.
  static bool Release(StreamSlot& slot) {
    const uint64_t rest = slot.word.load(std::memory_order_relaxed) & ~uint64_t{3};
    uint64_t served = rest | StreamSlot::kServed;
    if (slot.word.compare_exchange_strong(served, rest | StreamSlot::kIdle)) return true;
    slot.word.store(rest | StreamSlot::kServed);
    return false;
  }
  // Done whatever came meanwhile: the caller has it reported anew.
  static void ReleaseDirty(StreamSlot& slot) {
    const uint64_t rest = slot.word.load(std::memory_order_relaxed) & ~uint64_t{3};
    slot.word.store(rest | StreamSlot::kIdle, std::memory_order_release);
  }
  // Under the server's mutex.
  template <class Visitor>
  void ForEach(Visitor visit) {
    for (uint32_t i = 0; i < size_; ++i) {
      StreamSlot& slot = At(i);
      if ((slot.word.load(std::memory_order_acquire) & 3) != StreamSlot::kFree) visit(slot);
    }
  }

  ~StreamSlots() {
    for (auto& chunk : chunks_) delete[] chunk.load(std::memory_order_relaxed);
  }

 private:
  static constexpr uint32_t kChunk = 256;

  void Grow() {
    ORRERY_ASSERT(size_ / kChunk < chunks_.size(), "StreamSlots: fewer streams than slots");
    auto chunk = std::make_unique<StreamSlot[]>(kChunk);
    for (uint32_t i = kChunk; i-- > 0;) {
      chunk[i].index = size_ + i;
      free_.push_back(&chunk[i]);
    }
    chunks_[size_ / kChunk].store(chunk.release(), std::memory_order_release);
    size_ += kChunk;
  }

  std::array<std::atomic<StreamSlot*>, 4096> chunks_{};  // a million streams
  uint32_t size_ = 0;
  std::vector<StreamSlot*> free_;
};

}  // namespace orrery::runtime::internal
