#include "runtime/sim/incarnation.h"

#include <utility>

#include "orrery/base/assert.h"
#include "orrery/base/hash.h"
#include "runtime/sim/world.h"

namespace orrery::runtime::sim {
namespace {

constexpr size_t kStackBytes = 256 << 10;

uint64_t IncarnationSeed(const World& world, uint64_t id) {
  return Hash64("incarnation " + std::to_string(id), world.seed);
}

}  // namespace

class Incarnation::NodeClock final : public Clock {
 public:
  NodeClock(Incarnation& self, WallClock& wall) : self_(self), wall_(wall) {}
  MonoTime MonoNow() const override { return self_.loop().now(); }
  int64_t WallNowNs() const override {
    const MonoTime now = self_.loop().now();
    const int64_t drift = (now - wall_.drift_since).count() / 1'000'000 * wall_.drift_ppm;
    return self_.loop().options().wall_start_ns + now.ns + wall_.offset.count() + drift;
  }

 private:
  Incarnation& self_;
  WallClock& wall_;
};

class Incarnation::TaskScheduler final : public Scheduler {
 public:
  explicit TaskScheduler(Incarnation& self) : self_(self) {}

  std::unique_ptr<Task> Spawn(const Context& context, TaskOptions options,
                              absl::AnyInvocable<void(const Context&)> body) override {
    auto end = std::make_shared<End>();
    self_.SpawnRaw(
        std::string(options.name), options.stack_bytes,
        [context, body = std::move(body)]() mutable { body(context); },
        [this, end] {
          end->reached = true;
          end->joiners.WakeAll(self_.loop());
        });
    self_.loop().MaybePreempt();
    return std::make_unique<SimTaskHandle>(self_.loop(), std::string(options.name), std::move(end));
  }
  Status SleepUntil(const Context& context, MonoTime when) override {
    self_.loop().CheckHoldsNothing("a sleep");
    RETURN_IF_ERROR(context.Check());
    if (when <= self_.loop().now()) {
      self_.loop().Yield();
      return context.Check();
    }
    WaitQueue nobody;
    const Status woken = nobody.Wait(self_.loop(), context.WithDeadline(when), "a sleep");
    if (context.cancelled()) return woken;
    return self_.loop().now() >= when ? OkStatus() : context.Check();
  }
  void Yield() override { self_.loop().Yield(); }

 private:
  struct End {
    bool reached = false;
    WaitQueue joiners;
  };
  class SimTaskHandle final : public Task {
   public:
    SimTaskHandle(Loop& loop, std::string name, std::shared_ptr<End> end)
        : loop_(loop), name_(std::move(name)), end_(std::move(end)) {}
    ~SimTaskHandle() override { ORRERY_ASSERT(joined_, "Task: joined before it is dropped"); }
    void Join() override {
      if (!end_->reached) loop_.CheckHoldsNothing("the end of task \"" + name_ + "\"");
      while (!end_->reached) end_->joiners.WaitUntil(loop_, MonoTime::Infinite(), "the end of task \"" + name_ + "\"");
      joined_ = true;
    }

   private:
    Loop& loop_;
    const std::string name_;
    std::shared_ptr<End> end_;
    bool joined_ = false;
  };

  Incarnation& self_;
};

class Incarnation::NodeFiles final : public FileSystem {
 public:
  NodeFiles(Incarnation& self, Disk& disk) : self_(self), disk_(disk) {}

  StatusOr<std::string> ReadFile(std::string_view path) override {
    RETURN_IF_ERROR(Readable());
    const std::string* contents = disk_.Find(path);
    if (!contents) return NotFoundError("opening " + std::string(path) + ": no such file");
    return *contents;
  }
  Status WriteFileAtomic(std::string_view path, std::string_view contents) override {
    const std::string temporary = std::string(path) + ".new";
    if (!Pause()) return OkStatus();
    disk_.Create(temporary);
    disk_.WriteAt(temporary, 0, contents);
    if (!Pause()) return OkStatus();
    disk_.Sync(temporary);
    disk_.Rename(temporary, path);
    if (!Pause()) return OkStatus();
    disk_.SyncNames();
    return OkStatus();
  }
  Status WriteAtSync(std::string_view path, uint64_t offset, std::string_view bytes) override {
    if (!Pause()) return OkStatus();
    disk_.WriteAt(path, offset, bytes);
    if (!Pause()) return OkStatus();
    disk_.Sync(path);
    disk_.SyncNames();
    return OkStatus();
  }
  Status CreateFolder(std::string_view path) override {
    if (!self_.fenced()) disk_.CreateFolder(path);
    return OkStatus();
  }
  StatusOr<std::vector<std::string>> List(std::string_view path) override {
    RETURN_IF_ERROR(Readable());
    if (!disk_.FolderExists(path)) return NotFoundError("listing " + std::string(path) + ": no such folder");
    return disk_.List(path);
  }
  Status Remove(std::string_view path) override {
    if (!Pause()) return OkStatus();
    disk_.Remove(path);
    if (Pause()) disk_.SyncNames();
    return OkStatus();
  }
  StatusOr<bool> Exists(std::string_view path) override {
    RETURN_IF_ERROR(Readable());
    return disk_.Find(path) != nullptr || disk_.FolderExists(path);
  }
  StatusOr<std::unique_ptr<FileLock>> Lock(std::string_view path) override {
    RETURN_IF_ERROR(Readable());
    if (!disk_.TryLock(path)) return FailedPreconditionError(std::string(path) + " is in use by another incarnation");
    return std::unique_ptr<FileLock>(std::make_unique<SimFileLock>(*this, std::string(path)));
  }

 private:
  class SimFileLock final : public FileLock {
   public:
    SimFileLock(NodeFiles& files, std::string path) : files_(files), path_(std::move(path)) {}
    ~SimFileLock() override {
      if (!files_.self_.fenced()) files_.disk_.Unlock(path_);  // else the crash has let go of it
    }

   private:
    NodeFiles& files_;
    const std::string path_;
  };

  Status Readable() const {
    return self_.fenced() ? UnavailableError("the node has crashed") : OkStatus();
  }
  // The time a disk takes; a crash may come meanwhile. False: it has, and effects vanish from now on.
  bool Pause() {
    Loop& loop = self_.loop();
    if (self_.fenced()) return false;
    loop.CheckHoldsNothing("the disk");
    loop.Pause(self_.world().weather.Between(Duration(1), loop.options().disk_delay_max), "the disk");
    return !self_.fenced();
  }

  Incarnation& self_;
  Disk& disk_;
};

Incarnation::Incarnation(World& world, uint64_t id, NodeId node, Disk& disk, WallClock& wall_clock)
    : world_(world),
      id_(id),
      node_(node),
      random_(IncarnationSeed(world, id)),
      clock_(std::make_unique<NodeClock>(*this, wall_clock)),
      scheduler_(std::make_unique<TaskScheduler>(*this)),
      files_(std::make_unique<NodeFiles>(*this, disk)),
      transport_(std::make_unique<SimTransport>(*this)),
      network_(std::make_unique<SimNetwork>(*this)),
      root_(Context(*this).WithCancel()) {}

Incarnation::~Incarnation() = default;

Clock& Incarnation::clock() { return *clock_; }
Scheduler& Incarnation::scheduler() { return *scheduler_; }
FileSystem& Incarnation::file_system() { return *files_; }
Transport& Incarnation::transport() { return *transport_; }
Network& Incarnation::network() { return *network_; }
ProbeRegistry& Incarnation::probes() { return world_.probes; }
Loop& Incarnation::loop() { return world_.loop; }

SimTask& Incarnation::SpawnRaw(std::string name, size_t stack_bytes, absl::AnyInvocable<void()> body,
                               absl::AnyInvocable<void()> on_end) {
  ++task_count_;
  const std::string owner = node_ ? "node " + ToString(node_) : "driver";
  return loop().Spawn(owner + ": " + name, id_, std::max(stack_bytes, kStackBytes), std::move(body),
                      [this, on_end = std::move(on_end)]() mutable {
                        on_end();
                        if (--task_count_ == 0) no_tasks_.WakeAll(loop());
                      });
}

void Incarnation::Drain() {
  const MonoTime deadline = loop().now() + loop().options().drain_max;
  while (task_count_ > 0) {
    if (no_tasks_.WaitUntil(loop(), deadline, "the end of the tasks of node " + ToString(node_))) continue;
    loop().Fail("tasks of node " + ToString(node_) + " outlive it:\n" + loop().DescribeTasks(id_));
  }
}

}  // namespace orrery::runtime::sim
