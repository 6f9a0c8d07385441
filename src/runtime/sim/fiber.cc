// The fiber back end: Boost.Context. Stacks have a guard page and are kept for the next task, since mapping
// one costs more than running most tasks.
#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <map>
#include <utility>
#include <vector>

#include "runtime/sim/switch.h"

namespace orrery::runtime::sim {
namespace {

namespace bctx = boost::context;

class StackPool {
 public:
  ~StackPool() {
    for (auto& [bytes, stacks] : free_)
      for (auto& stack : stacks) bctx::protected_fixedsize_stack(bytes).deallocate(stack);
  }
  bctx::stack_context Take(size_t bytes) {
    auto& stacks = free_[bytes];
    if (stacks.empty()) return bctx::protected_fixedsize_stack(bytes).allocate();
    const bctx::stack_context stack = stacks.back();
    stacks.pop_back();
    return stack;
  }
  void Give(size_t bytes, const bctx::stack_context& stack) { free_[bytes].push_back(stack); }

 private:
  std::map<size_t, std::vector<bctx::stack_context>> free_;
};

// Boost's view of the pool.
struct PooledStack {
  std::shared_ptr<StackPool> pool;
  size_t bytes;
  bctx::stack_context allocate() { return pool->Take(bytes); }
  void deallocate(bctx::stack_context& stack) { pool->Give(bytes, stack); }
};

class FiberSwitch final : public Switch {
 public:
  FiberSwitch(PooledStack stack, absl::AnyInvocable<void()> body) : body_(std::move(body)) {
    task_ = bctx::fiber(std::allocator_arg, std::move(stack), [this](bctx::fiber&& loop) {
      loop_ = std::move(loop);
      body_();
      body_ = nullptr;
      return std::move(loop_);
    });
  }
  void Resume() override { task_ = std::move(task_).resume(); }
  void Suspend() override { loop_ = std::move(loop_).resume(); }

 private:
  absl::AnyInvocable<void()> body_;
  bctx::fiber task_;
  bctx::fiber loop_;
};

class FiberFactory final : public SwitchFactory {
 public:
  std::unique_ptr<Switch> New(size_t stack_bytes, absl::AnyInvocable<void()> body) override {
    return std::make_unique<FiberSwitch>(PooledStack{pool_, stack_bytes}, std::move(body));
  }

 private:
  std::shared_ptr<StackPool> pool_ = std::make_shared<StackPool>();
};

}  // namespace

std::unique_ptr<SwitchFactory> NewFiberFactory() { return std::make_unique<FiberFactory>(); }

}  // namespace orrery::runtime::sim
