#include "runtime/threads/socket_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>

#include "runtime/threads/blocking.h"

namespace orrery::runtime {

Status PollUntil(const Context& context, int fd, short events) {
  while (true) {
    const Duration left = context.deadline() - context.runtime().clock().MonoNow();
    if (left.count() <= 0) return DeadlineExceededError("deadline exceeded");
    const int64_t ms_left = (left.count() + 999'999) / 1'000'000;
    pollfd p{fd, events, 0};
    const int n = ::poll(&p, 1, int(std::min<int64_t>(ms_left, 1 << 30)));
    if (n > 0) return OkStatus();
    if (n < 0 && errno != EINTR) return ErrnoError(errno, "waiting for", "a socket");
  }
}

SocketStream::SocketStream(OwnedFd fd, std::string peer) : fd_(std::move(fd)), peer_(std::move(peer)) {
  const int one = 1;
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);  // fails harmlessly on unix sockets
}

StatusOr<size_t> SocketStream::Read(const Context& context, char* buffer, size_t size) {
  const internal::BlockingSection section;
  ShutdownOnCancel guard(context, fd_.get(), SHUT_RD);
  int flags = HasDeadline(context) ? MSG_DONTWAIT : 0;
  while (true) {
    const ssize_t n = ::recv(fd_.get(), buffer, size, flags);
    if (n > 0) return size_t(n);
    if (n == 0) {
      if (closed_.load(std::memory_order_relaxed)) return FailedPreconditionError("stream closed");
      if (context.cancelled()) return context.Check();
      return size_t(0);
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) RETURN_IF_ERROR(PollUntil(context, fd_.get(), POLLIN));
    else if (errno != EINTR) return ErrnoError(errno, "reading from", peer_);
  }
}

StatusOr<std::optional<size_t>> SocketStream::TryRead(char* buffer, size_t size) {
  if (exhausted_ && short_read_ == ShortRead::kIsLast) return std::optional<size_t>();
  while (true) {
    const ssize_t n = ::recv(fd_.get(), buffer, size, MSG_DONTWAIT);
    if (n >= 0) {
      if (n == 0 && closed_.load(std::memory_order_relaxed)) return FailedPreconditionError("stream closed");
      exhausted_ = short_read_ == ShortRead::kIsLast && size_t(n) < size;
      return std::optional<size_t>(size_t(n));
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      exhausted_ = true;
      return std::optional<size_t>();
    }
    if (errno != EINTR) return ErrnoError(errno, "reading from", peer_);
  }
}

Status SocketStream::Write(const Context& context, std::string_view bytes) {
  // Nearly always the socket's buffer has room; only then a wait has to be set up.
  RETURN_IF_ERROR(SendSome(bytes, MSG_DONTWAIT));
  if (bytes.empty()) return OkStatus();
  const internal::BlockingSection section;
  ShutdownOnCancel guard(context, fd_.get(), SHUT_WR);
  while (!bytes.empty()) {
    if (HasDeadline(context)) RETURN_IF_ERROR(PollUntil(context, fd_.get(), POLLOUT));
    const Status sent = SendSome(bytes, HasDeadline(context) ? MSG_DONTWAIT : 0);
    if (!sent.ok()) return context.cancelled() ? context.Check() : sent;
  }
  return OkStatus();
}

bool SocketStream::Readable() {
  pollfd p{fd_.get(), POLLIN, 0};
  return ::poll(&p, 1, 0) > 0;
}

void SocketStream::Close() {
  closed_.store(true, std::memory_order_relaxed);
  ::shutdown(fd_.get(), SHUT_RDWR);
}

Status SocketStream::SendSome(std::string_view& bytes, int flags) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), flags | MSG_NOSIGNAL);
    if (n >= 0) bytes.remove_prefix(size_t(n));
    else if (errno == EAGAIN || errno == EWOULDBLOCK) return OkStatus();
    else if (errno != EINTR) return ErrnoError(errno, "writing to", peer_);
  }
  return OkStatus();
}

}  // namespace orrery::runtime
