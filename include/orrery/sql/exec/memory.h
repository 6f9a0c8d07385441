// MemoryAccount: what one statement holds, against its budget. An operator that keeps rows charges them
// first; over the budget the statement fails with 53200 instead of the node dying. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "orrery/base/status.h"

namespace orrery::sql {

class MemoryAccount {
 public:
  explicit MemoryAccount(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  Status Charge(uint64_t bytes) {
    used_bytes_ += bytes;
    if (used_bytes_ > peak_bytes_) peak_bytes_ = used_bytes_;
    if (used_bytes_ <= limit_bytes_) [[likely]] return OkStatus();
    return Exceeded();
  }
  void Release(uint64_t bytes) { used_bytes_ -= bytes < used_bytes_ ? bytes : used_bytes_; }
  uint64_t used_bytes() const { return used_bytes_; }
  uint64_t peak_bytes() const { return peak_bytes_; }

 private:
  Status Exceeded() const {
    return Status(Code::kResourceExhausted, "53200", "out of memory")
        .WithDetail("The statement needs more than its limit of " + std::to_string(limit_bytes_ >> 20) + " MB.");
  }

  const uint64_t limit_bytes_;
  uint64_t used_bytes_ = 0;
  uint64_t peak_bytes_ = 0;
};

}  // namespace orrery::sql
