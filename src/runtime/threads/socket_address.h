// Addresses as people write them ("127.0.0.1:5432", "[::1]:5432", "localhost:0", "unix:/path") and as the
// operating system wants them.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status_or.h"

namespace orrery::runtime {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  std::string ToString() const;
  // Only this machine reaches a listener there.
  bool loopback() const;
};

// Every address a name stands for, in the resolver's order; never empty. InvalidArgument if malformed, Unavailable if
// the name does not resolve. May ask a name server and wait.
StatusOr<std::vector<SocketAddress>> ResolveSocketAddresses(std::string_view address);

// The one to use of these: the first of IPv4, so that "localhost" means one thing, else the first.
StatusOr<SocketAddress> ParseSocketAddress(std::string_view address);

}  // namespace orrery::runtime
