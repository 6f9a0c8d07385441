#include "put_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

namespace orrery::bench {

void AppendBigEndian(std::string& out, uint32_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out.push_back(char(value >> (8 * i)));
}

uint32_t BigEndian(const char* at, int bytes) {
  uint32_t value = 0;
  for (int i = 0; i < bytes; ++i) value = value << 8 | uint8_t(at[i]);
  return value;
}

PutClient::PutClient(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(uint16_t(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd_ < 0 || connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    throw std::runtime_error("no connection to port " + std::to_string(port));
  }
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

PutClient::~PutClient() { close(fd_); }

void PutClient::Put(uint32_t key, std::string_view value) {
  output_.clear();
  AppendPut(output_, key, value);
  busy_ = true;
  begun_ = Clock::now();
  Write(output_);
}

Progress PutClient::Read() {
  char bytes[4096];
  const ssize_t got = recv(fd_, bytes, sizeof(bytes), 0);
  if (got <= 0) throw std::runtime_error("the server has closed a connection");
  input_.append(bytes, size_t(got));
  const Progress progress = Take(input_);
  if (progress != Progress::kWaiting) busy_ = false;
  return progress;
}

Progress PutClient::ReadToEnd() {
  Progress progress = Progress::kWaiting;
  while (progress == Progress::kWaiting) progress = Read();
  return progress;
}

void PutClient::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) throw std::runtime_error("the server does not take a request");
    bytes.remove_prefix(size_t(sent));
  }
}

}  // namespace orrery::bench
