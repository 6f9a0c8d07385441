// PutClient: one client that puts keys, on a connection of its own and one put at a time; what its protocols share. Blocks only while
// it connects. Errors of the connection are exceptions: the run is over then.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace orrery::bench {

using Clock = std::chrono::steady_clock;

enum class Progress { kWaiting, kAnswered, kRefused };

class PutClient {
 public:
  explicit PutClient(int port);
  PutClient(const PutClient&) = delete;
  PutClient& operator=(const PutClient&) = delete;
  virtual ~PutClient();

  int fd() const { return fd_; }
  Clock::time_point begun() const { return begun_; }
  bool busy() const { return busy_; }

  void Put(uint32_t key, std::string_view value);
  // Call when the socket is readable.
  Progress Read();

 protected:
  // Appends the request to `out`.
  virtual void AppendPut(std::string& out, uint32_t key, std::string_view value) = 0;
  // Takes whole messages from the front of `input` and leaves the rest. kWaiting: the put's end is not among them.
  virtual Progress Take(std::string& input) = 0;
  void Write(std::string_view bytes);
  // Waits until Take says how something ended.
  Progress ReadToEnd();

 private:
  int fd_;
  std::string input_, output_;
  Clock::time_point begun_;
  bool busy_ = false;
};

void AppendBigEndian(std::string& out, uint32_t value, int bytes);
uint32_t BigEndian(const char* at, int bytes);

// Of etcd: KV.Put, key "k<number>".
std::unique_ptr<PutClient> NewEtcdClient(int port);
// Of a server that speaks PostgreSQL's protocol and has a table puts (k bigint PRIMARY KEY, v text): a prepared upsert.
std::unique_ptr<PutClient> NewPostgresClient(int port);

}  // namespace orrery::bench
