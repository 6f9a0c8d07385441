// LatchManager: keeps requests whose spans conflict from being evaluated at the same time, first come first
// served. Points are found in an ordered tree; spans (few at a time) by walking their list.
//
// Invariant: a request waits only for requests that entered before it, so latches never deadlock.
// Pure, not thread-safe (admission.h).
#pragma once

#include <string_view>
#include <vector>

#include "orrery/kv/concurrency/admission.h"

namespace orrery::kv {

class LatchManager {
 public:
  // Enters all latches of the request. True: granted now. False: the request is among the woken of a later
  // Release. Precondition: it has a sequence, which no other request here has, and no latches.
  bool Acquire(Admission& request);
  // Takes the latches out, granted or not, and wakes whom nothing keeps any more.
  void Release(Admission& request, Woken& woken);
  // The requests it still waits for; empty once granted.
  const absl::InlinedVector<Admission*, 2>& Blockers(const Admission& request) const { return request.blockers_; }
  // Whether a plain read of the key at `ts` would have to wait, if it came now.
  bool WouldWait(std::string_view key, Timestamp ts) const;
  bool empty() const { return points_.empty() && spans_.empty(); }

 private:
  static void Block(Admission& request, const Admission::Latch& mine, const Admission::Latch& other);

  Admission::LatchPoints points_;               // equal keys in order of arrival
  std::vector<const Admission::Latch*> spans_;  // in order of arrival
};

}  // namespace orrery::kv
