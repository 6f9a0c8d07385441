// The baton back end: a task is an OS thread that runs only while it holds the baton, so debuggers and
// sanitizers see ordinary threads. The one place outside runtime/threads that makes threads.
#include <pthread.h>

#include <algorithm>
#include <utility>

#include "orrery/base/assert.h"
#include "runtime/sim/switch.h"
#include "runtime/threads/parker.h"

namespace orrery::runtime::sim {
namespace {

constexpr size_t kStackBytesMin = 1 << 20;  // sanitizers make frames large

class BatonSwitch final : public Switch {
 public:
  BatonSwitch(size_t stack_bytes, absl::AnyInvocable<void()> body) : body_(std::move(body)) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, std::max(stack_bytes, kStackBytesMin));
    const int rc = pthread_create(&thread_, &attributes, &Main, this);
    pthread_attr_destroy(&attributes);
    ORRERY_ASSERT(rc == 0, "the system gives a thread for the baton");
  }
  ~BatonSwitch() override { pthread_join(thread_, nullptr); }
  void Resume() override {
    task_.Unpark();
    loop_.ParkUntil(MonoTime::Infinite());
  }
  void Suspend() override {
    loop_.Unpark();
    task_.ParkUntil(MonoTime::Infinite());
  }

 private:
  static void* Main(void* argument) {
    auto* self = static_cast<BatonSwitch*>(argument);
    self->task_.ParkUntil(MonoTime::Infinite());
    self->body_();
    self->body_ = nullptr;
    self->loop_.Unpark();
    return nullptr;
  }

  absl::AnyInvocable<void()> body_;
  internal::Parker task_;
  internal::Parker loop_;
  pthread_t thread_;
};

class BatonFactory final : public SwitchFactory {
 public:
  std::unique_ptr<Switch> New(size_t stack_bytes, absl::AnyInvocable<void()> body) override {
    return std::make_unique<BatonSwitch>(stack_bytes, std::move(body));
  }
};

}  // namespace

std::unique_ptr<SwitchFactory> NewBatonFactory() { return std::make_unique<BatonFactory>(); }

}  // namespace orrery::runtime::sim
