#include "runtime/threads/socket_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "orrery/runtime/threads_runtime.h"

namespace orrery::runtime {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

StatusOr<SocketAddress> ParseUnix(std::string_view path) {
  SocketAddress result;
  auto* un = reinterpret_cast<sockaddr_un*>(&result.storage);
  if (path.empty() || path.size() >= sizeof un->sun_path)
    return InvalidArgumentError("the path of a unix socket has 1 to 107 characters: \"" + std::string(path) + "\"");
  un->sun_family = AF_UNIX;
  std::memcpy(un->sun_path, path.data(), path.size());
  result.length = socklen_t(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return result;
}

}  // namespace

StatusOr<std::vector<SocketAddress>> ResolveSocketAddresses(std::string_view address) {
  if (address.starts_with(kUnixPrefix)) {
    ASSIGN_OR_RETURN(const SocketAddress path, ParseUnix(address.substr(kUnixPrefix.size())));
    return std::vector<SocketAddress>{path};
  }
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == address.size())
    return InvalidArgumentError("not a host:port address: \"" + std::string(address) + "\"");
  std::string host(address.substr(0, colon));
  const std::string port(address.substr(colon + 1));
  if (port.find_first_not_of("0123456789") != std::string::npos || port.size() > 5 || std::stoi(port) > 65535)
    return InvalidArgumentError("not a port number: \"" + port + "\"");
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (host.empty() ? AI_PASSIVE : 0);
  addrinfo* list = nullptr;
  const int rc = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &list);
  if (rc != 0)
    return UnavailableError("resolving " + std::string(address) + ": " + ::gai_strerror(rc));
  std::vector<SocketAddress> result;
  for (const addrinfo* a = list; a; a = a->ai_next) {
    SocketAddress& one = result.emplace_back();
    std::memcpy(&one.storage, a->ai_addr, a->ai_addrlen);
    one.length = a->ai_addrlen;
  }
  ::freeaddrinfo(list);
  return result;
}

StatusOr<SocketAddress> ParseSocketAddress(std::string_view address) {
  ASSIGN_OR_RETURN(const std::vector<SocketAddress> all, ResolveSocketAddresses(address));
  for (const SocketAddress& one : all) {
    if (one.family() == AF_INET) return one;
  }
  return all.front();
}

bool SocketAddress::loopback() const {
  if (family() == AF_INET) {
    return ntohl(reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
  }
  if (family() == AF_INET6) {
    const in6_addr& ip = reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(&ip) || (IN6_IS_ADDR_V4MAPPED(&ip) && ip.s6_addr[12] == IN_LOOPBACKNET);
  }
  return family() == AF_UNIX;
}

StatusOr<std::string> ReachableFromOutside(std::string_view listen_address) {
  ASSIGN_OR_RETURN(const std::vector<SocketAddress> all, ResolveSocketAddresses(listen_address));
  for (const SocketAddress& one : all) {
    if (!one.loopback()) return one.ToString();
  }
  return std::string();
}

std::string SocketAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (family() == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&storage);
    ::inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
    return std::string(text) + ":" + std::to_string(ntohs(in->sin_port));
  }
  if (family() == AF_INET6) {
    const auto* in = reinterpret_cast<const sockaddr_in6*>(&storage);
    ::inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
    return "[" + std::string(text) + "]:" + std::to_string(ntohs(in->sin6_port));
  }
  const auto* un = reinterpret_cast<const sockaddr_un*>(&storage);
  const bool named = family() == AF_UNIX && length > offsetof(sockaddr_un, sun_path);
  return std::string(kUnixPrefix) + (named ? un->sun_path : "");
}

}  // namespace orrery::runtime
