// A handler for the tests of stream servers in both worlds. It speaks lines:
//   echo TEXT → TEXT · wait → waits until released · wait MS → does so in steps · big COUNT → COUNT bytes ·
//   silence MS → an idle timeout from now on · close → the end. After an idle timeout it says "idle", when the server stops "stopping".
#pragma once

#include <cstdlib>
#include <string>

#include "orrery/runtime/runtime.h"
#include "orrery/runtime/stream_server.h"

namespace orrery::runtime {

struct EchoWorld {
  Mutex mutex{"echo"};
  CondVar changed;
  int waiting ABSL_GUARDED_BY(mutex) = 0;
  bool released ABSL_GUARDED_BY(mutex) = false;
  int cancelled ABSL_GUARDED_BY(mutex) = 0;
  int alive ABSL_GUARDED_BY(mutex) = 0;

  void Release() {
    MutexLock lock(mutex);
    released = true;
    changed.NotifyAll();
  }
  Status AwaitWaiting(const Context& context, int count) {
    MutexLock lock(mutex);
    return WaitUntil(context, mutex, changed, [&] { return waiting >= count; });
  }
};

class EchoHandler final : public StreamHandler {
 public:
  explicit EchoHandler(EchoWorld& world) : world_(world) {
    MutexLock lock(world_.mutex);
    ++world_.alive;
  }
  ~EchoHandler() override {
    MutexLock lock(world_.mutex);
    --world_.alive;
  }
  StreamNext Handle(const Context& context, ByteStream& stream, StreamEvent event) override {
    if (event != StreamEvent::kReadable) {
      (void)stream.Write(context.Detached(), event == StreamEvent::kStopping ? "stopping\n" : "idle\n");
      return {StreamNext::Action::kClose};
    }
    char buffer[512];
    for (int i = 0; i < 4; ++i) {  // a small share, so that streams with much to say come back
      const auto n = stream.TryRead(buffer, sizeof buffer);
      if (!n.ok() || (*n && **n == 0)) return {StreamNext::Action::kClose};
      if (!*n) break;
      input_.append(buffer, **n);
      for (size_t end; (end = input_.find('\n')) != std::string::npos; input_.erase(0, end + 1)) {
        if (!Answer(context, stream, input_.substr(0, end))) return {StreamNext::Action::kClose};
      }
    }
    return {.idle_timeout = silence_};
  }

 private:
  bool Answer(const Context& context, ByteStream& stream, const std::string& line) {
    if (line.starts_with("echo ")) return stream.Write(context, line.substr(5) + "\n").ok();
    if (line.starts_with("big ")) return stream.Write(context, std::string(std::stoul(line.substr(4)), 'b')).ok();
    if (line.starts_with("silence ")) silence_ = std::stol(line.substr(8)) * Duration(1ms);
    if (line.starts_with("wait")) {
      Wait(context, line.size() > 5 ? std::stol(line.substr(5)) * Duration(1ms) : Duration(0));
      return stream.Write(context, "waited\n").ok();
    }
    return line != "close";
  }
  // Each wait no longer than `step`, if there is one.
  void Wait(const Context& context, Duration step) {
    MutexLock lock(world_.mutex);
    ++world_.waiting;
    world_.changed.NotifyAll();
    Status waited;
    do {
      const Context limited = step > Duration(0) ? context.WithTimeout(step) : context;
      waited = WaitUntil(limited, world_.mutex, world_.changed, [&] { return world_.released; });
    } while (!waited.ok() && context.Check().ok());
    if (!waited.ok()) ++world_.cancelled;
  }

  EchoWorld& world_;
  std::string input_;
  Duration silence_{0};
};

// The next line of a stream; "<end>" at its end, "<CODE>" on an error. `rest` keeps what came after it.
inline std::string ReadLine(const Context& context, ByteStream& stream, std::string& rest) {
  while (rest.find('\n') == std::string::npos) {
    char buffer[512];
    const auto n = stream.Read(context, buffer, sizeof buffer);
    if (!n.ok()) return "<error>";
    if (*n == 0) return "<end>";
    rest.append(buffer, *n);
  }
  const std::string line = rest.substr(0, rest.find('\n'));
  rest.erase(0, line.size() + 1);
  return line;
}

}  // namespace orrery::runtime
