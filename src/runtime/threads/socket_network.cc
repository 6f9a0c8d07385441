#include "runtime/threads/socket_network.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <atomic>

#include "orrery/runtime/runtime.h"
#include "runtime/threads/fd.h"
#include "runtime/threads/socket_address.h"
#include "runtime/threads/socket_stream.h"
#include "runtime/threads/stream_server.h"

namespace orrery::runtime {
namespace {

constexpr int kBacklog = 1024;
constexpr Duration kDescriptorPause = 50ms;  // between two tries while the process has no free descriptor

class SocketListener final : public Listener {
 public:
  SocketListener(OwnedFd fd, SocketAddress address) : fd_(std::move(fd)), address_(address) {}
  ~SocketListener() override {
    if (address_.family() == AF_UNIX) ::unlink(reinterpret_cast<sockaddr_un*>(&address_.storage)->sun_path);
  }
  std::string address() const override { return address_.ToString(); }

  StatusOr<std::unique_ptr<ByteStream>> Accept(const Context& context) override {
    while (true) {
      auto accepted = AcceptOnce(context);
      if (accepted.ok() || accepted.status().code() != Code::kResourceExhausted) return accepted;
      RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, kDescriptorPause));
    }
  }
  void Close() override {
    closed_.store(true, std::memory_order_relaxed);
    ::shutdown(fd_.get(), SHUT_RDWR);
  }

 private:
  StatusOr<std::unique_ptr<ByteStream>> AcceptOnce(const Context& context) {
    ShutdownOnCancel guard(context, fd_.get(), SHUT_RDWR);
    while (true) {
      if (HasDeadline(context)) RETURN_IF_ERROR(PollUntil(context, fd_.get(), POLLIN));
      SocketAddress peer;
      peer.length = sizeof peer.storage;
      OwnedFd fd(::accept4(fd_.get(), peer.get(), &peer.length, SOCK_CLOEXEC));
      if (fd.valid()) {
        // The peer of a unix socket has no name: the listener's path says more in a log.
        const std::string name = address_.family() == AF_UNIX ? address_.ToString() : peer.ToString();
        return std::unique_ptr<ByteStream>(std::make_unique<SocketStream>(std::move(fd), name));
      }
      const int error = errno;
      if (closed_.load(std::memory_order_relaxed)) return FailedPreconditionError("listener closed");
      if (context.cancelled()) return context.Check();
      const bool passing = error == EINTR || error == ECONNABORTED || error == EAGAIN || error == EPROTO ||
                           error == ENETDOWN || error == EHOSTUNREACH || error == ENETUNREACH;
      if (passing) continue;
      if (error == EINVAL) return FailedPreconditionError("listener closed");
      return ErrnoError(error, "accepting on", address());
    }
  }

  OwnedFd fd_;
  SocketAddress address_;
  std::atomic<bool> closed_{false};
};

// A socket file that nobody listens on is left over from a killed process.
void RemoveStaleUnixSocket(SocketAddress& address) {
  const char* path = reinterpret_cast<sockaddr_un*>(&address.storage)->sun_path;
  struct stat info;
  if (::lstat(path, &info) != 0 || !S_ISSOCK(info.st_mode)) return;
  OwnedFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(probe.get(), address.get(), address.length) != 0 && errno == ECONNREFUSED) ::unlink(path);
}

}  // namespace

StatusOr<std::unique_ptr<Listener>> SocketNetwork::Listen(std::string_view text) {
  ASSIGN_OR_RETURN(SocketAddress address, ParseSocketAddress(text));
  OwnedFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoError(errno, "opening a socket for", text);
  const int one = 1;
  if (address.family() == AF_UNIX) RemoveStaleUnixSocket(address);
  else ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (::bind(fd.get(), address.get(), address.length) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    if (errno == EADDRINUSE)
      return FailedPreconditionError("address " + std::string(text) + " is already in use");
    if (errno == EADDRNOTAVAIL)
      return FailedPreconditionError("address " + std::string(text) + " is not one of this machine");
    return ErrnoError(errno, "listening on", text);
  }
  if (address.family() != AF_UNIX) {
    address.length = sizeof address.storage;
    ::getsockname(fd.get(), address.get(), &address.length);
  }
  return std::unique_ptr<Listener>(std::make_unique<SocketListener>(std::move(fd), address));
}

StatusOr<std::unique_ptr<ByteStream>> SocketNetwork::Connect(const Context& context, std::string_view text) {
  ASSIGN_OR_RETURN(auto stream, ConnectSocket(context, text));
  return std::unique_ptr<ByteStream>(std::move(stream));
}

StatusOr<std::unique_ptr<SocketStream>> ConnectSocket(const Context& context, std::string_view text) {
  RETURN_IF_ERROR(context.Check());
  ASSIGN_OR_RETURN(SocketAddress address, ParseSocketAddress(text));
  OwnedFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoError(errno, "opening a socket for", text);
  // SO_SNDTIMEO bounds a blocking connect on Linux (socket(7)), so the deadline holds.
  if (HasDeadline(context)) {
    const Duration left = std::max<Duration>(context.deadline() - context.runtime().clock().MonoNow(), 1ms);
    const timeval limit{time_t(left.count() / 1'000'000'000), suseconds_t(left.count() / 1000 % 1'000'000)};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  int rc = 0;
  {
    ShutdownOnCancel guard(context, fd.get(), SHUT_RDWR);
    rc = ::connect(fd.get(), address.get(), address.length) == 0 ? 0 : errno;
  }
  if (rc != 0) {
    RETURN_IF_ERROR(context.Check());
    if (rc == EINPROGRESS || rc == EAGAIN) return DeadlineExceededError("connecting to " + std::string(text));
    return ErrnoError(rc, "connecting to", text);
  }
  const timeval none{};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
  return std::make_unique<SocketStream>(std::move(fd), std::string(text));
}

std::unique_ptr<StreamServer> SocketNetwork::NewStreamServer(const Context& context,
                                                             const StreamServerOptions& options) {
  return std::make_unique<SocketStreamServer>(context, options);
}

}  // namespace orrery::runtime
