#include "orrery/runtime/threads_runtime.h"

#include <sys/random.h>
#include <time.h>

#include <utility>

#include "orrery/base/assert.h"
#include "runtime/seeded_random.h"
#include "runtime/threads/grpc_transport.h"
#include "runtime/threads/posix_file_system.h"
#include "runtime/threads/scheduler.h"
#include "runtime/threads/socket_network.h"

namespace orrery::runtime {
namespace {

int64_t ReadClockNs(clockid_t id) {
  timespec now;
  clock_gettime(id, &now);
  return int64_t(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

class SystemClock final : public Clock {
 public:
  MonoTime MonoNow() const override { return {ReadClockNs(CLOCK_MONOTONIC)}; }
  int64_t WallNowNs() const override { return ReadClockNs(CLOCK_REALTIME); }
};

uint64_t SystemSeed() {
  uint64_t seed = 0;
  const ssize_t n = getrandom(&seed, sizeof seed, 0);
  ORRERY_ASSERT(n == ssize_t(sizeof seed), "the system gives random bytes");
  return seed;
}

class ThreadsRuntimeImpl final : public ThreadsRuntime {
 public:
  explicit ThreadsRuntimeImpl(const ThreadsRuntimeOptions& options)
      : random_(options.random_seed ? *options.random_seed : SystemSeed()),
        scheduler_(options.stack_bytes, options.idle_threads_max),
        transport_(NewGrpcTransport(*this, options)) {
    ORRERY_ASSERT(ProcessMode() == Mode::kThreads, "ThreadsRuntime: not in a simulation's process");
  }
  ~ThreadsRuntimeImpl() override { transport_->Stop(); }

  Clock& clock() override { return clock_; }
  Random& random() override { return random_; }
  Scheduler& scheduler() override { return scheduler_; }
  FileSystem& file_system() override { return file_system_; }
  Transport& transport() override { return *transport_; }
  Network& network() override { return network_; }
  ProbeRegistry& probes() override { return probes_; }

 private:
  SystemClock clock_;
  SeededRandom random_;
  ProbeRegistry probes_;
  PosixFileSystem file_system_;
  SocketNetwork network_;
  ThreadsScheduler scheduler_;
  std::unique_ptr<Transport> transport_;  // last: its tasks end before the scheduler
};

}  // namespace

std::unique_ptr<ThreadsRuntime> ThreadsRuntime::Create(ThreadsRuntimeOptions options) {
  return std::make_unique<ThreadsRuntimeImpl>(options);
}

}  // namespace orrery::runtime
