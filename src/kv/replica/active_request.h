// ActiveRequest: a request on its way through a replica. While it lives, the range does not go quiet.
#pragma once

#include "kv/replica/replica.h"

namespace orrery::kv {

class Replica::ActiveRequest {
 public:
  explicit ActiveRequest(Replica& replica);
  ~ActiveRequest();
  ActiveRequest(const ActiveRequest&) = delete;

 private:
  Replica& replica_;
};

}  // namespace orrery::kv
