// OwnedFd: a file descriptor closed by its destructor; and errno as a Status.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "orrery/base/status.h"

namespace orrery::runtime {

class OwnedFd {
 public:
  explicit OwnedFd(int fd = -1) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~OwnedFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

// "writing /data/store: No space left on device", with the Code and SQLSTATE of the error.
Status ErrnoError(int error, std::string_view doing, std::string_view what);

}  // namespace orrery::runtime
