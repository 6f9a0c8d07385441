// Fifo: a queue in one piece of memory, for the many queues that are nearly always empty. std::deque holds more than
// half a kilobyte from its birth, and a node has ten such queues for each of its thousands of ranges.
//
// Not thread-safe. Invariant: without elements ever, or after Clear, it holds no memory. T is default-constructible and movable;
// places left are reset, so that what an element held is free at once.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "orrery/base/assert.h"

namespace orrery {

template <class T>
class Fifo {
 public:
  Fifo() = default;
  Fifo(Fifo&& other) noexcept { Swap(other); }
  Fifo& operator=(Fifo&& other) noexcept {
    Swap(other);
    return *this;
  }

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  // Precondition: index < size(). 0 is the oldest.
  T& operator[](size_t index) {
    ORRERY_ASSERT(index < size_, "an element of the queue");
    return places_[(first_ + index) & (capacity_ - 1)];
  }
  const T& operator[](size_t index) const { return const_cast<Fifo&>(*this)[index]; }
  T& front() { return (*this)[0]; }
  const T& front() const { return (*this)[0]; }
  T& back() { return (*this)[size_ - 1]; }
  const T& back() const { return (*this)[size_ - 1]; }

  void push_back(T value) {
    if (size_ == capacity_) Grow();
    ++size_;
    back() = std::move(value);
  }
  void pop_front() {
    front() = T();
    first_ = (first_ + 1) & (capacity_ - 1);
    --size_;
  }
  void pop_back() {
    back() = T();
    --size_;
  }
  // Gives the memory back, too.
  void Clear() { *this = Fifo(); }

 private:
  static constexpr size_t kCapacityMin = 4;

  void Swap(Fifo& other) {
    std::swap(places_, other.places_);
    std::swap(capacity_, other.capacity_);
    std::swap(first_, other.first_);
    std::swap(size_, other.size_);
  }
  void Grow() {
    const size_t capacity = capacity_ == 0 ? kCapacityMin : 2 * capacity_;
    auto places = std::make_unique<T[]>(capacity);
    for (size_t i = 0; i < size_; ++i) places[i] = std::move((*this)[i]);
    places_ = std::move(places);
    capacity_ = capacity;
    first_ = 0;
  }

  std::unique_ptr<T[]> places_;
  size_t capacity_ = 0;  // a power of two, or 0
  size_t first_ = 0;
  size_t size_ = 0;
};

}  // namespace orrery
