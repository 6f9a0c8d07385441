// Strong integer ids: a NodeId cannot be passed where a RangeId is meant. Zero means "none" everywhere.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace orrery {

template <class Tag>
class StrongId {
 public:
  using Rep = uint64_t;
  constexpr StrongId() = default;
  constexpr explicit StrongId(uint64_t value) : value_(value) {}
  constexpr uint64_t value() const { return value_; }
  constexpr explicit operator bool() const { return value_ != 0; }
  constexpr StrongId Next() const { return StrongId(value_ + 1); }
  constexpr StrongId Prev() const { return StrongId(value_ - 1); }
  friend constexpr auto operator<=>(StrongId, StrongId) = default;
  friend std::string ToString(StrongId id) { return std::to_string(id.value_); }
  template <class H>
  friend H AbslHashValue(H h, StrongId id) {
    return H::combine(std::move(h), id.value_);
  }

 private:
  uint64_t value_ = 0;
};

using NodeId = StrongId<struct NodeIdTag>;        // a dbserver's identity, given once by the cluster
using StoreId = StrongId<struct StoreIdTag>;      // one disk directory
using RangeId = StrongId<struct RangeIdTag>;
using ReplicaId = StrongId<struct ReplicaIdTag>;  // unique within its range, never reused (I17)
using RaftTerm = StrongId<struct RaftTermTag>;
using RaftIndex = StrongId<struct RaftIndexTag>;  // position in a range's log, first entry is 1
using LeaseSequence = StrongId<struct LeaseSequenceTag>;
using RangeGeneration = StrongId<struct RangeGenerationTag>;
using DescriptorId = StrongId<struct DescriptorIdTag>;  // a SQL catalog object

}  // namespace orrery

template <class Tag>
struct std::hash<orrery::StrongId<Tag>> {
  size_t operator()(orrery::StrongId<Tag> id) const { return std::hash<uint64_t>{}(id.value()); }
};
